"""The graphs of a bundle: cut, edited, checked before they are trusted, and run behind the guard."""
