"""What a run looks like: figures, an evaluation in words, a page of HTML.  matplotlib is imported lazily."""
