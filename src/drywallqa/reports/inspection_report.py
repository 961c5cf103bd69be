"""The inspection report: what was found on the walls, and what the rules say, as HTML and PDF."""

from __future__ import annotations

from pathlib import Path

from drywallqa.errors import MissingExtraError
from drywallqa.files import write_whole
from drywallqa.inspection.ledger import Ledger
from drywallqa.inspection.rules import RuleSet
from drywallqa.reports.document import Document, escape
from drywallqa.reports.document_html import render_html
from drywallqa.reports.inspection_material import InspectionMaterial, ReportOptions
from drywallqa.reports.inspection_method import closing_chapters
from drywallqa.reports.inspection_photos import wall_chapters
from drywallqa.reports.inspection_summary import summary_chapters

HTML, PDF = "report.html", "report.pdf"


def write_inspection_report(
    ledger: Ledger, rule_set: RuleSet | None, folder: Path, options: ReportOptions, pdf: bool = False
) -> list[Path]:
    """Write the report of the newest visit. The same input gives the same bytes.

    Args:
        ledger: The ledger with verdicts.
        rule_set: The rules that gave the verdicts; None without rules.
        folder: Folder of the results. It contains the pictures that `write_inspection_pictures` wrote.
        options: Options of the report.
        pdf: Whether to write the report also as PDF.

    Returns:
        The written files.

    Raises:
        DataError: A picture is missing.
        MissingExtraError: A PDF needs the extra `report`.
        OutputError: The report cannot be written.
    """
    if pdf:
        try:
            from drywallqa.reports.document_pdf import render_pdf
        except ModuleNotFoundError as error:
            raise MissingExtraError("the report as PDF", "report") from error
    document = compose_inspection(InspectionMaterial(ledger, rule_set, folder, options))
    write_whole(folder / HTML, render_html(document, options.paper))
    if pdf:
        write_whole(folder / PDF, render_pdf(document, options.paper))
    return [folder / HTML, *([folder / PDF] if pdf else [])]


def compose_inspection(material: InspectionMaterial) -> Document:
    """Compose the report: verdict and summary, walls and photos, method and rules, reviews.

    Raises:
        DataError: A picture is missing.
    """
    options, visit = material.options, material.visit
    subtitle = f"{escape(material.ledger.name)}, visit of {visit.date}"
    return Document(
        escape(options.title),
        subtitle,
        _facts(material),
        [*summary_chapters(material), *wall_chapters(material), *closing_chapters(material)],
    )


def _facts(material: InspectionMaterial) -> list[tuple[str, str]]:
    options, visit, rules = material.options, material.visit, material.rule_set
    thresholds = ", ".join(f"{name} {value:.2f}" for name, value in sorted(visit.thresholds.items()))
    model = f"{visit.model} (mask thresholds: {thresholds})" if thresholds else visit.model
    facts = [
        ("Client", options.client), ("Property", options.address), ("Report by", options.inspector),
        ("Date of the visit", visit.date), ("Reviewer", visit.reviewer or "not reviewed by a person"),
        ("Rules", f"{rules.title} ({rules.label})" if rules else "no rules, so there is no verdict"),
        ("Model", model),
    ]  # fmt: skip
    return [(name, escape(value)) for name, value in facts if value]
