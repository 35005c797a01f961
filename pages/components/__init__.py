"""Streamlit widgets shared by pages: the only place that touches session state and caches."""
