"""Reading recorded Messages exchanges, whoever recorded them."""
