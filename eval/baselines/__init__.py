"""What the hybrid is measured against."""
