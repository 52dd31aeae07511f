import numpy as np

from equipoise.training.inference.attribution_maps import AGAINST_RGB, FOR_RGB, overlaid


def test_what_speaks_for_a_class_is_orange_and_what_speaks_against_it_blue():
    image, values = np.zeros((20, 30), np.float32), np.zeros((20, 30), np.float32)
    values[:10, :10], values[10:, 20:] = 1, -1
    picture = overlaid(image, values)
    assert picture.shape == (20, 30, 3)
    assert tuple(picture[3, 3]) == FOR_RGB
    assert tuple(picture[15, 25]) == AGAINST_RGB
    assert tuple(picture[3, 25]) == (0, 0, 0)


def test_of_a_volume_the_plane_with_the_strongest_map_is_shown():
    values = np.zeros((5, 8, 8), np.float32)
    values[3, 2, 2] = -1
    image = np.arange(5 * 64, dtype=np.float32).reshape(5, 8, 8)
    assert tuple(overlaid(image, values)[2, 2]) == AGAINST_RGB
