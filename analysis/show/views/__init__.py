"""What each page shows, made of numbers and choices; one module per page, no Streamlit."""
