"""Where functions that plans on disk name have moved to, so that a job planned by an older program can be resumed."""

FORMER_NAMES = {
    "generators.simulation.attempts:next_attempts": "generators.simulation.plan_attempts:next_attempts",
    "idm.label:LabelActions": "idm.labelling.label:LabelActions",
    "idm.label_config:LabelConfig": "idm.labelling.label_config:IdmLabelConfig",
    "lapa.label:LapaLabel": "lapa.labelling.label:LabelLatents",
    "lapa.label_config:LapaLabelConfig": "lapa.labelling.label_config:LapaLabelConfig",
    "pipelines.plan_rounds:numbered_items": "pipelines.planning.plan_rounds:numbered_items",
    "idm.labelling.label_config:LabelConfig": "idm.labelling.label_config:IdmLabelConfig",
    "lapa.labelling.label:LapaLabel": "lapa.labelling.label:LabelLatents",
    "pipelines.top_up:numbered_items": "pipelines.planning.plan_rounds:numbered_items",
}


def current_name(reference: str) -> str:
    """The name that `reference` ("module:name") has today."""
    return FORMER_NAMES.get(reference, reference)
