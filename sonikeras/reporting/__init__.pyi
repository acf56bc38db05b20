from .documents import (
    AudioClip as AudioClip,
    Block as Block,
    Code as Code,
    Details as Details,
    Gallery as Gallery,
    Heading as Heading,
    Note as Note,
    Picture as Picture,
    Table as Table,
    Text as Text,
    png as png,
)
from .html import to_html as to_html, write_html as write_html
from .markdown import to_markdown as to_markdown, write_markdown as write_markdown
