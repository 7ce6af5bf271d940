from numpyvae.course.lesson_00 import WALKS

RIGHT = {"walks": WALKS}

WRONG = {
    "walks": [
        ({**WALKS, "a": "grains"}, "3 of 4 are right; walk a is something else: nothing in the decoder is drawn"),
        ({**WALKS, "b": "one digit jumps to the other"}, "walk b is something else: the decoder is continuous"),
        ({**WALKS, "c": "two digits overlaid"}, "walk c is something else: the codes between the two"),
        ({**WALKS, "c": "one digit jumps to the other"}, "walk c is something else"),
        ({**WALKS, "d": "grains"}, "walk d is something else: far out its sums get large"),
        ({**WALKS, "a": "hardly a change", "b": "the same picture"}, "2 of 4 are right; walk a is something else"),
        ({**WALKS, "d": "a cat"}, "walk d is none of the names"),
        ({**WALKS, "d": None}, "walk d is none of the names"),
        ({"a": "the same picture"}, "expected a dictionary with the letters a, b, c, d"),
        ("melts", "expected a dictionary"),
    ],
}

ALSO_RIGHT = {
    "walks": [{"A": "Same picture", "B": "hardly any change", "C": "MELTS", "D": "hard-edges."},
              ["no change", "almost the same", "a 1 melts into a 0", "black and white"],
              ("same", "small change", "one digit turns into the other", "no grey")],
}
