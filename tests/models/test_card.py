"""geofcn.models.card: what a model says of itself, for a reader."""

from geofcn.core.contacts import Contacts
from geofcn.models.card import model_card
from geofcn.models.model import Parent
from geofcn.models.model_file import model_digest


def test_a_card_says_what_is_known_and_leaves_out_what_is_not(make_model):
    model = make_model("fcnn", scale=2, resolution=0.1384, scenes=("a.tif",))
    card = dict(model_card(model))
    assert card["net"] == "fcnn, looking at means of 2 x 2 pixels"
    assert card["bands"] == "red, green, blue (uint8)" and card["ground resolution"] == "0.138 m"
    assert card["sees"] == f"{model.geometry.halo} pixels around a point"
    assert card["SHA-256 of its tensors"] == model_digest(model)
    assert card["houses that touch"] == "one polygon"
    assert "started from" not in card and "weights of" not in card


def test_a_card_names_the_parent_and_the_scores(make_model):
    scores = {"epoch": 7, "f1": 0.5, "scored_on": "training"}
    parent = Parent("ab" * 32, ("p.tif",))
    more = {"scores": scores, "parent": parent, "scenes": ("a.tif",)}
    card = dict(model_card(make_model("fcnn", contacts=Contacts(2, 0.5), **more)))
    assert card["weights of"] == "epoch 7, F1 50.0 % on what is learnt from"
    assert card["started from"] == f"the model {'ab' * 6}"
    assert card["trained on"] == "p.tif, a.tif" and card["houses that touch"] == "told apart"
    undefined = make_model("fcnn", scores={"epoch": 1, "f1": None})
    assert dict(model_card(undefined))["weights of"] == "epoch 1"
