"""Every picture and plot, and the report that shows them. Same inputs, same bytes."""
