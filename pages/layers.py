"""Statistics against depth: any of them, or one of the ready views."""

from analysis.language import _
from pages.components.frame import picker, shell
from pages.components.layers import statistic
from pages.components.layers import views as layer_views
from pages.components.layers.views import View

SHOW = {
    View.TOP: layer_views.show_top,
    View.NORMS: layer_views.show_norms,
    View.RANGE: layer_views.show_range,
    View.SHARED_NORM: layer_views.show_shared_norm,
    View.ADVICE: layer_views.show_advice,
}

shell.open_page(_("Layers"))
view = layer_views.choose_view()
if view in SHOW:
    SHOW[view](picker.read_one())
else:
    statistic.show(picker.read_versions())
