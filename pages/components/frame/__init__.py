"""What every page has around it: navigation, picker, form, jobs, saved views, tour."""
