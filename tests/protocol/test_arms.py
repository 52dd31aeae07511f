"""Arms of other kinds: nnU-Net with its budget, and ensembles that never pretend to more runs than they are."""

import pytest

from equipoise.errors import ProtocolError
from equipoise.protocol import Protocol
from equipoise.protocol.ensembles import groups_of, member_runs, seeds_of
from equipoise.protocol.nnunet_section import SHARES, nnunet_settings

NETWORKS = """
[[arms]]
name = "a"
model = "unet"
[[arms]]
name = "b"
model = "deeplab"
"""


def protocol(arms, *, task="segmentation", seeds=(0, 1, 2, 3, 4, 5), more=""):
    seeds = f"seeds = {list(seeds)}"
    head = f'[cohort]\nsource = "phantom"\ntask = "{task}"\n'
    text = more if "[training]" in more else f"[training]\n{seeds}\n{more}"
    return Protocol.parse(head + text.replace("SEEDS", seeds) + NETWORKS + arms)


def nnunet(settings=""):
    return f'[[arms]]\nname = "n"\nmodel = {{name = "nnunet"{settings}}}\n'


def ensemble(names, more=""):
    return f'[[arms]]\nname = "e"\nensemble = {list(names)}\n{more}\n'.replace("'", '"')


def test_an_ensemble_of_arms_has_a_run_for_every_seed_and_one_of_seeds_for_every_group():
    of_arms, of_seeds = (protocol(ensemble(names, more)) for names, more in ((("a", "b"), ""), (("a",), "members = 2")))
    assert [seed for arm, seed in of_arms.runs() if arm.name == "e"] == [0, 1, 2, 3, 4, 5]
    assert [seed for arm, seed in of_seeds.runs() if arm.name == "e"] == [0, 2, 4]
    assert member_runs(of_arms.arms[2], 3, (0, 1, 2, 3, 4, 5)) == [("a", 3), ("b", 3)]
    assert member_runs(of_seeds.arms[2], 2, (0, 1, 2, 3, 4, 5)) == [("a", 2), ("a", 3)]


def test_no_two_ensembles_of_an_arm_share_a_run():
    for members in (1, 2, 3, 4):
        groups = groups_of(range(11), members)
        used = [seed for group in groups for seed in group]
        assert len(used) == len(set(used)) == len(groups) * members
        assert len(groups) == 11 // members


def test_plans_without_such_arms_keep_their_form_and_hash():
    plain = protocol("")
    assert set(plain.arms[0].model_dump()) == {"name", "model", "optimizer", "pretrained", "freeze", "space", "draws"}
    for arms in (ensemble(("a", "b")), nnunet(", minutes = 5")):
        one = protocol(arms)
        assert "optimizer" not in one.arms[2].model_dump()
        assert Protocol.parse(one.text).sha256() == one.sha256() != plain.sha256()


@pytest.mark.parametrize(
    ("arms", "given", "sentence"),
    [
        (ensemble(("a", "c")), {}, "names the unknown arm 'c'; .*allowed: a, b"),
        (ensemble(("a", "e")), {}, "an ensemble or this arm itself"),
        (ensemble(("a", "a")), {}, "names an arm twice"),
        (ensemble(("a",)), {}, "only one run"),
        (ensemble(("a",), "members = 3"), {}, "uses 3 seeds .* names 6[;,] name 9 or more"),
        (ensemble(("a", "b"), "members = 2"), {"seeds": (0, 1, 2, 3, 4)}, "names 5[;,] name 6 or more"),
        (ensemble(("a", "b"), 'optimizer = "adam"'), {}, "takes optimizer from its members"),
        (ensemble(("a", "b"), 'model = "unet"'), {}, "takes model from its members"),
        (ensemble(("a", "b"), "members = 0"), {}, "greater than or equal to 1"),
        ('[[arms]]\nname = "e"\nmodel = "unet"\nmembers = 2\n', {}, "name its arms with ensemble"),
        (nnunet() + ensemble(("a", "n")), {}, "trained by nnU-Net, which predicts in its own windows"),
        (ensemble(("a", "b")), {"more": "shared_seeds = true"}, "different models|shared_seeds"),
        (
            ensemble(("a", "b")),
            {"more": "[training]\nseeds = [0, 1, 2, 3, 4]\n[endpoints]\nlooks = [3, 5]\n"},
            "shares runs with other arms",
        ),
        (ensemble(("a", "b")), {"more": "[tuning]\ndraws = 2\n"}, "no settings to tune"),
        (nnunet(), {"more": "[tuning]\ndraws = 2\n"}, "nnU-Net has no settings to tune"),
        (nnunet(), {"task": "classification"}, "nnU-Net can only segment, and the task is classification"),
        (nnunet(), {"more": 'targets = "regions"'}, "learns classes"),
        (nnunet(", epohs = 3"), {}, "no setting 'epohs'"),
        (nnunet(", minutes = 5, epochs = 2"), {}, "set only one of them"),
        (nnunet(", minutes = 0"), {}, "greater than 0"),
        (nnunet(', trainer = "a b"'), {}, "trainer"),
        (nnunet().replace("}", '}\noptimizer = "adam"'), {}, "nnU-Net chooses optimizer of 'n' itself"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(arms, given, sentence):
    with pytest.raises(ProtocolError, match=sentence) as refusal:
        protocol(arms, **given)
    assert "\n" not in str(refusal.value)


def test_the_epochs_of_nnunet_are_its_own_or_those_of_all_or_shares_of_its_minutes():
    assert nnunet_settings({}).epochs_of(7) == 7
    assert nnunet_settings({"epochs": 3}).epochs_of(7) == 3
    assert nnunet_settings({"minutes": 5}).epochs_of(7) == SHARES
    assert protocol('[[arms]]\nname = "n"\nmodel = "nnU-Net"\n').arms[2].nnunet is not None
    assert protocol("").arms[0].nnunet is None
    assert seeds_of(protocol("").arms[0], (4, 5)) == (4, 5)


def test_what_is_no_network_of_ours_is_not_looked_up_among_networks():
    from equipoise.trials.spelling import refuse_misspelt

    refuse_misspelt(protocol(nnunet(", minutes = 5") + ensemble(("a", "b"))))
    with pytest.raises(ProtocolError, match="'unett' is unknown"):
        refuse_misspelt(protocol('[[arms]]\nname = "x"\nmodel = "unett"\n' + ensemble(("a", "b"))))
