"""Modules under their names of version 0.1: importing one still works in this version, with a warning.

The table and the finder go with version 0.3.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PLACES = {
    "auditing": "trials.audit",
    "budget": "protocol.training_section",
    "checking": "trials.check",
    "cohorts.array_rows": "cohorts.layouts.array_rows",
    "cohorts.array_table": "cohorts.layouts.array_table",
    "cohorts.arrays": "cohorts.formats.arrays",
    "cohorts.brats": "cohorts.layouts.brats",
    "cohorts.checksums": "cohorts.formats.checksums",
    "cohorts.consensus": "cohorts.lidc.consensus",
    "cohorts.detection": "cohorts.finding_labels",
    "cohorts.dicom": "cohorts.formats.dicom",
    "cohorts.dicom_geometry": "cohorts.formats.dicom_geometry",
    "cohorts.dicom_parse": "cohorts.formats.dicom_parse",
    "cohorts.dicom_pixels": "cohorts.formats.dicom_pixels",
    "cohorts.dicom_seg": "cohorts.formats.dicom_seg",
    "cohorts.dicom_values": "cohorts.formats.dicom_values",
    "cohorts.first_look": "cohorts.layouts.first_look",
    "cohorts.grouping": "cohorts.splits.patient_groups",
    "cohorts.gunzip": "cohorts.formats.gunzip",
    "cohorts.leakage": "cohorts.splits.leakage",
    "cohorts.lidc_database": "cohorts.lidc.database",
    "cohorts.lidc_findings": "cohorts.lidc.luna16",
    "cohorts.lidc_scans": "cohorts.lidc.scans",
    "cohorts.lidc_voxels": "cohorts.lidc.voxels",
    "cohorts.lidc_xml": "cohorts.lidc.annotations",
    "cohorts.likeness": "cohorts.splits.similarity",
    "cohorts.limits": "cohorts.formats.limits",
    "cohorts.manifest": "cohorts.layouts.manifest",
    "cohorts.medmnist": "cohorts.layouts.medmnist",
    "cohorts.neighbours": "cohorts.splits.neighbours",
    "cohorts.nifti": "cohorts.formats.nifti",
    "cohorts.nifti_header": "cohorts.formats.nifti_header",
    "cohorts.outlines": "cohorts.lidc.polygons",
    "cohorts.phantom": "testing.phantoms.cases",
    "cohorts.phantom_brats": "testing.phantoms.brats",
    "cohorts.phantom_ct": "testing.phantoms.ct_series",
    "cohorts.phantom_lidc": "testing.phantoms.lidc",
    "cohorts.picture_parse": "cohorts.formats.picture_parse",
    "cohorts.pictures": "cohorts.formats.pictures",
    "cohorts.recognise": "cohorts.layouts.recognition",
    "cohorts.refusal": "cohorts.formats.refusal",
    "cohorts.sandbox": "cohorts.formats.sandbox",
    "cohorts.sandbox_child": "cohorts.formats.sandbox_child",
    "cohorts.scan": "cohorts.formats.scan",
    "cohorts.split": "cohorts.splits.split",
    "cohorts.telling": "cohorts.splits.attribute_leakage",
    "cohorts.volumes": "cohorts.layouts.volumes",
    "cohorts.xml_tree": "cohorts.formats.xml_tree",
    "evaluation.elsewhere.agreement": "evaluation.external.agreement",
    "evaluation.elsewhere.arms": "evaluation.external.arm_names",
    "evaluation.elsewhere.collecting": "evaluation.external.collection",
    "evaluation.elsewhere.joining": "evaluation.external.join",
    "evaluation.elsewhere.kinds": "evaluation.external.formats",
    "evaluation.elsewhere.mask_file": "evaluation.external.mask_file",
    "evaluation.elsewhere.mask_pairs": "evaluation.external.mask_pairs",
    "evaluation.elsewhere.masks": "evaluation.external.masks",
    "evaluation.elsewhere.medmnist": "evaluation.external.medmnist",
    "evaluation.elsewhere.monai": "evaluation.external.monai",
    "evaluation.elsewhere.nnunet": "evaluation.external.nnunet",
    "evaluation.elsewhere.reading": "evaluation.external.reading",
    "evaluation.elsewhere.stated": "evaluation.external.audit_options",
    "evaluation.marked_scans": "evaluation.matched_scans",
    "evaluation.pictures": "evaluation.display_planes",
    "evaluation.tables": "evaluation.external.tables",
    "ledger": "runfolder.ledger",
    "lock": "trials.lock",
    "models.calling": "models.adapter",
    "models.fused": "kernels.normalize",
    "naming": "lookup",
    "native": "kernels.build",
    "optimizers.batch": "optimizers.adaptive_momentum.step_inputs",
    "optimizers.compiled": "optimizers.adaptive_momentum.compiled",
    "optimizers.counts": "optimizers.adaptive_momentum.sign_counts",
    "optimizers.dispatch": "optimizers.adaptive_momentum.dispatch",
    "optimizers.foreach": "optimizers.adaptive_momentum.foreach",
    "optimizers.loop": "optimizers.adaptive_momentum.reference_step",
    "optimizers.needs": "optimizers.requirements",
    "optimizers.rates": "optimizers.adaptive_momentum.rates",
    "optimizers.rules": "optimizers.adaptive_momentum.rules",
    "planning": "trials.plan",
    "reading": "protocol.toml",
    "report.assemble": "report.pages.assemble",
    "report.audited": "report.results.audit",
    "report.cases": "report.pages.cases",
    "report.characteristics": "report.text.characteristics",
    "report.checklist": "report.pages.checklist",
    "report.checklist_facts": "report.text.checklist_facts",
    "report.cohort_page": "report.pages.cohort_page",
    "report.contrast": "report.results.contrast",
    "report.detection_examples": "report.pages.detection_examples",
    "report.entries": "report.results.entries",
    "report.examples": "report.pages.examples",
    "report.folder": "runfolder.read",
    "report.looks": "report.results.interim_analysis",
    "report.maps": "report.pages.attribution_maps",
    "report.mask_examples": "report.pages.mask_examples",
    "report.methods": "report.text.methods",
    "report.methods_statistics": "report.text.methods_statistics",
    "report.missing": "report.results.missing_modality",
    "report.outlined": "cohorts.case_pictures",
    "report.own_endpoints": "report.results.own_endpoints",
    "report.page": "report.pages.page",
    "report.recommendation": "report.results.recommendation",
    "report.references": "report.text.references",
    "report.starts": "report.results.initialization",
    "report.stops": "report.results.early_stopping",
    "report.study_page": "report.study.page",
    "report.study_tables": "report.study.tables",
    "report.subgrouping": "report.results.subgroups",
    "report.svg": "report.figures.svg",
    "report.tables": "report.text.tables",
    "report.tuning": "report.results.tuning",
    "report.verdicts": "report.text.verdicts",
    "report.words": "report.text.words",
    "sections": "protocol.sections",
    "space": "protocol.search_space",
    "starting": "trials.init",
    "statistics.auc": "statistics.influence",
    "statistics.crossvalidation": "statistics.comparison",
    "statistics.detection": "statistics.influence",
    "statistics.equivalence": "statistics.comparison",
    "statistics.judging": "statistics.adjudication",
    "study": "protocol.study",
    "studying": "trials.study",
    "training.arm": "training.loop.arm",
    "training.attribution": "training.inference.attribution",
    "training.augmentation.resampling": "kernels.resample",
    "training.averaging": "training.learner.weight_average",
    "training.baselines": "training.preparation.classification",
    "training.checkpoint": "training.loop.checkpoint",
    "training.choice": "training.loop.arithmetic",
    "training.classifying": "training.tasks.classification",
    "training.cost": "training.loop.cost",
    "training.detecting": "training.tasks.detection",
    "training.detection_errors": "training.tasks.detection_errors",
    "training.determinism": "training.loop.determinism",
    "training.distributed": "training.learner.distributed",
    "training.explaining": "training.inference.attribution_maps",
    "training.feeding": "training.data.batches",
    "training.files": "runfolder.write",
    "training.finding_targets": "training.data.finding_targets",
    "training.fine_tuning": "training.loop.initial_weights",
    "training.forecast": "training.loop.forecast",
    "training.job": "runfolder.job",
    "training.layout": "training.loop.layout",
    "training.losses": "training.learner.losses",
    "training.marking": "training.preparation.detection",
    "training.mask_baselines": "training.preparation.segmentation",
    "training.missing": "training.inference.missing_modality",
    "training.mixup": "training.augmentation.mixup",
    "training.observation": "training.loop.diagnostics",
    "training.opening": "training.inference.test_opening",
    "training.patches": "training.data.patches",
    "training.preflight": "training.loop.preflight",
    "training.samples": "training.data.samples",
    "training.sampling": "training.data.sampling",
    "training.search": "training.tuning.search",
    "training.segmenting": "training.tasks.segmentation",
    "training.sliding": "training.learner.sliding_window",
    "training.spot_baselines": "training.preparation.detection",
    "training.staging": "training.preparation.staging",
    "training.train": "training.loop.train",
    "training.validation": "training.tasks.task_training",
    "trial": "trials.run",
}
"""Name in version 0.1 → name now, both below the package."""


class _Alias(Loader):
    """Gives the module of the new name for a spec of the old one."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 (the protocol of loaders)
        """The module under its new name: the import system must not make a second copy of its classes."""
        module = import_module(self.place)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back: the import system has just overwritten it with the alias's."""
        module.__spec__ = self.spec


class _OldNames(MetaPathFinder):
    """Finds the names of version 0.1 after every other finder has failed."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of a moved module, with a warning that names its new place; None for any other name."""
        package, _, name = fullname.partition(".")
        if package != "equipoise" or name not in PLACES:
            return None
        place = f"equipoise.{PLACES[name]}"
        warnings.warn(
            f"{fullname} is now {place}; the old name is removed in version 0.3", DeprecationWarning, stacklevel=2
        )
        return ModuleSpec(fullname, _Alias(place))


def install() -> None:
    """Let the old names be imported; calling it again changes nothing."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())


def attributes_of(module: str, *places: str) -> Callable[[str], Any]:
    """A module's `__getattr__` for names that lie elsewhere now.

    module: one whose names of version 0.1 have moved, or a package that was a module then. places: the modules that
    hold its names now.
    """

    def attribute(name: str) -> Any:
        """Return the value of a moved name, with a warning that names its place."""
        for place in () if name.startswith("_") else places:
            value = getattr(import_module(place), name, None)
            if getattr(value, "__module__", None) == place:
                warnings.warn(
                    f"{module}.{name} is now {place}.{name}; the old name is removed in version 0.3",
                    DeprecationWarning,
                    stacklevel=2,
                )
                return value
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return attribute
