"""What a model says of itself, for a reader: its card."""

from __future__ import annotations

from geofcn.models.model import Model
from geofcn.models.model_file import model_digest


def model_card(model: Model) -> list[tuple[str, str]]:
    """Names and texts, one row for each thing that is known of a model."""
    about, geometry = model.metadata, model.geometry
    rows = {
        "net": f"{about.net}, looking at means of {about.scale} x {about.scale} pixels",
        "weights": f"{sum(part.numel() for part in model.net.parameters()):,}",
        "sees": f"{geometry.halo} pixels around a point",
        "bands": f"{', '.join(about.colours)} ({about.dtype})",
        "ground resolution": f"{about.resolution:.3g} m" if about.resolution else "not known",
        "trained on": ", ".join(about.all_scenes),
        "started from": f"the model {about.parent.sha256[:12]}" if about.parent else "",
        "recipe": str(about.recipe.get("name", "")),
        "weights of": _epoch(model),
        "threshold": f"{about.threshold:.3g}",
        "probabilities": "calibrated" if about.calibration else "not calibrated",
        "scores of houses": "calibrated" if about.score_calibration else "mean probabilities",
        "houses that touch": "told apart" if about.contacts else "one polygon",
        "made by": f"geofcn {about.version}",
        "SHA-256 of its tensors": model_digest(model),
    }
    return [(name, text) for name, text in rows.items() if text]


def _epoch(model: Model) -> str:
    """From which epoch the weights are, and how well they did."""
    scores = model.metadata.scores
    epoch, f1 = scores.get("epoch"), scores.get("f1")
    if epoch is None:
        return ""
    words = "" if f1 is None else f", F1 {100 * f1:.1f} % on what is kept for validation"
    if scores.get("scored_on") == "training":
        words = words.replace("kept for validation", "learnt from")
    return f"epoch {epoch}{words}"
