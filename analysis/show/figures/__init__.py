"""Arrays and frames in, plotly figures out; one module per page, one theme.

Nothing here reads a file, computes a statistic or knows of Streamlit. Figures carry their numbers
as float32 or int32 arrays, which plotly sends in binary; lists would cost a hundred times more.
"""
