"""What a run looks like: figures, an evaluation in words, a page of HTML.  Alone in importing matplotlib, lazily."""
