"""What may happen, and making it happen: a pure core decides, thin services authorise and act."""
