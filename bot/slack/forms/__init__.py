"""Buttons, forms and shortcuts: what a click asks, and what a sent form does."""
