"""What all components have in common: TFX's artifacts by key, and its specifications with further parameters."""

from typing import Any

from tfx import types
from tfx.types.component_spec import ExecutionParameter

Artifacts = dict[str, list[types.Artifact]]  # of an executor's inputs or outputs, by key


def with_parameters(spec: type[types.ComponentSpec], **kinds: type) -> Any:
    """The specification of one of TFX's components with further parameters, name to type."""
    parameters = {name: ExecutionParameter(type=kind) for name, kind in kinds.items()}
    return type(spec.__name__, (spec,), {"PARAMETERS": {**spec.PARAMETERS, **parameters}})
