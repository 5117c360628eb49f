"""What a study rests on cannot be changed once it has begun: held by the database itself."""

import pgtrigger

_FIXED = (
    "overlap", "overlap_share", "rating_order", "same_profile", "repeats", "gate", "gate_last",
    "seed",
)  # fmt: skip
_BLINDING = ("show_model", "show_condition", "show_totals")


def _row(name: str) -> str:
    columns = [f"{name}.{column}" for column in _FIXED]
    return ", ".join([*columns, *(f"{name}.settings->'{key}'" for key in _BLINDING)])


FROZEN_DESIGN = pgtrigger.Trigger(
    name="frozen_design",
    when=pgtrigger.Before,
    operation=pgtrigger.Update,
    func=f"""
        IF OLD.state <> 'draft' AND ROW({_row("OLD")}) IS DISTINCT FROM ROW({_row("NEW")}) THEN
            RAISE EXCEPTION 'the design of study % is frozen', OLD.id;
        END IF;
        IF OLD.state <> 'draft' AND NEW.state = 'draft' THEN
            RAISE EXCEPTION 'study % cannot be a draft again', OLD.id;
        END IF;
        RETURN NEW;
    """,
)


def frozen_with_the_study(operation: pgtrigger.Operation) -> pgtrigger.Trigger:
    """Refuse ``operation`` on a row of a study that has begun: no draft, and work given out.

    A row may still be added until somebody has opened a dialogue.
    """
    return pgtrigger.Trigger(
        name="frozen_with_study",
        when=pgtrigger.Before,
        operation=operation,
        declare=[("touched", "BIGINT")],
        func="""
            touched = CASE TG_OP WHEN 'INSERT' THEN NEW.study_id ELSE OLD.study_id END;
            IF EXISTS (SELECT 1 FROM review_study WHERE id = touched AND state <> 'draft')
               AND EXISTS (
                   SELECT 1 FROM review_assignment
                   WHERE study_id = touched AND (TG_OP <> 'INSERT' OR opened_at IS NOT NULL)
               ) THEN
                RAISE EXCEPTION 'study % has begun', touched;
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
    )
