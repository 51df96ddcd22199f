"""All of this package that serving needs: it imports no other part of it, and an image copies it alone."""
