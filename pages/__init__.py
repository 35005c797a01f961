"""One thin script per page: widgets in, pure function, figure out. Run by `st.Page` from app.py."""
