import numpy as np

from geofcn.augment import relit, turned


def test_labels_follow_the_image_through_every_turn_and_flip():
    random = np.random.default_rng(0)
    labels = np.arange(16, dtype=np.float32).reshape(4, 4)
    image = np.stack([labels + 10.0, labels * 2 + 50.0]).astype(np.float32)
    seen = set()
    for _ in range(200):
        rotated, classes = turned([image, labels], random)
        seen.add(classes.tobytes())
        assert (rotated[0] == classes + 10).all() and (rotated[1] == classes * 2 + 50).all()
    assert len(seen) == 8, "the symmetries of a square"


def test_another_light_keeps_the_order_of_values_in_a_band():
    random = np.random.default_rng(0)
    image = random.normal(size=(3, 5, 7)).astype(np.float32)
    for _ in range(20):
        other = relit(image, random)
        assert other.dtype == np.float32 and not np.array_equal(other, image)
        for before, after in zip(image, other, strict=True):
            assert (before.ravel().argsort() == after.ravel().argsort()).all()


def test_blank_stays_blank_and_the_input_is_left_alone():
    random = np.random.default_rng(1)
    image = np.ones((3, 8, 8), np.float32)
    image[:, 2:4, 1] = 0
    image[0, 7, 7] = 0  # one band only: not blank
    before = image.copy()
    for _ in range(50):
        assert ((relit(image, random) == 0).all(axis=0) == (image == 0).all(axis=0)).all()
    assert (image == before).all()
