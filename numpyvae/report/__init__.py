"""What a run looks like: figures, what they show in words, a page with sliders.  matplotlib is imported lazily."""
