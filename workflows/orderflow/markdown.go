package orderflow

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// This file writes what an operator reads of a workflow in the Web UI: markdown and short lines. It has no personal
// data: a customer is named by the subject of the token.

const (
	// maxSummary is the greatest length of a workflow's summary, in bytes. The server refuses a longer one.
	maxSummary = 200
	// maxSummaryName is where the summary cuts a customer's id.
	maxSummaryName = 60
	// timeForm is how operators read a time, in UTC.
	timeForm = "2006-01-02 15:04:05 UTC"
)

// Summary is one line about an order, as in "HF-104233: 2 × BAG-GRA and 1 more, 208.90 EUR, alice".
func (in OrderInput) Summary() string {
	text := ""
	if in.Number != "" {
		text = in.Number + ": "
	}
	if len(in.Lines) > 0 {
		text += goods(in.Lines[0].Quantity, in.Lines[0].SKU, len(in.Lines)) + ", "
	}
	return cut(text+in.Total.String()+", "+cut(in.CustomerID, maxSummaryName), maxSummary)
}

// Details are the facts of an order that do not change, as markdown.
func (in OrderInput) Details() string {
	t := Table{}
	if in.Number != "" {
		t.Row("Number", Code(in.Number))
	}
	t.Row("Customer", Code(in.CustomerID))
	t.Row("Amount", in.Total.String())
	t.Row("Placed", Time(in.PlacedAt))
	if in.Review != nil {
		t.Row("Review", Text(strings.Join(in.Review.Reasons, ", ")))
	}
	return t.String() + "\n" + LineTable(in.Lines)
}

// LineTable shows the lines of an order as a table in markdown.
func LineTable(lines []Line) string {
	out := "| Product | | Quantity | Amount |\n|---|---|---:|---:|\n"
	for _, l := range lines {
		out += fmt.Sprintf("| %s | %s | %d | %s |\n", Code(l.SKU), Text(l.Name), l.Quantity, l.Total)
	}
	return out
}

// Summary is one line about a reservation without an order, as in "Reservation: 2 × BAG-GRA and 1 more, alice".
func (in ReservationStart) Summary() string {
	text := "Reservation: "
	if len(in.Lines) > 0 {
		text += goods(in.Lines[0].Quantity, in.Lines[0].Name(), len(in.Lines)) + ", "
	}
	return cut(text+cut(in.Actor, maxSummaryName), maxSummary)
}

// Details are the facts of a reservation without an order that do not change, as markdown.
func (in ReservationStart) Details() string {
	t := Table{}
	t.Row("Reservation", Code(in.ReservationID.String()))
	t.Row("Customer", Code(in.Actor))
	t.Row("Placed", Time(in.PlacedAt))
	return t.String() + "\n" + ReserveLineTable(in.Lines)
}

// ReserveLineTable shows the lines of a reservation as a table in markdown.
func ReserveLineTable(lines []ReserveLine) string {
	out := "| Product | Quantity |\n|---|---:|\n"
	for _, l := range lines {
		out += fmt.Sprintf("| %s | %d |\n", Code(l.Name()), l.Quantity)
	}
	return out
}

// Name names the product of the line: by its SKU, or by its id if the catalogue does not have it.
func (l ReserveLine) Name() string {
	if l.SKU == "" {
		return l.ProductID.String()
	}
	return l.SKU
}

func goods(quantity int64, product string, lines int) string {
	text := strconv.FormatInt(quantity, 10) + " × " + product
	if lines > 1 {
		text += fmt.Sprintf(" and %d more", lines-1)
	}
	return text
}

// Table is a table of two columns in markdown: names and values. Its first row is its head, because markdown has no
// table without one. The workflows write it, so it uses fmt.Sprintf: workflowcheck refuses fmt.Fprintf there.
type Table struct{ rows string }

// Row adds a row. value is markdown.
func (t *Table) Row(name, value string) {
	rule := ""
	if t.rows == "" {
		rule = "|---|---|\n"
	}
	t.rows += fmt.Sprintf("| %s | %s |\n%s", name, value, rule)
}

// String returns the table.
func (t *Table) String() string { return t.rows }

// Time writes a time as operators read it.
func Time(t time.Time) string { return t.UTC().Format(timeForm) }

var escape = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "|", `\|`, "~", `\~`,
	"\r", " ", "\n", " ")

// Text writes a text of a client or of the catalogue so that markdown shows it as it is, on one line.
func Text(s string) string { return escape.Replace(s) }

var codeEscape = strings.NewReplacer("`", "'", "|", `\|`, "\r", " ", "\n", " ")

// Code writes an id so that markdown shows it as it is.
func Code(s string) string { return "`" + codeEscape.Replace(s) + "`" }

// cut cuts a text at a number of bytes, between two characters.
func cut(s string, size int) string {
	if len(s) <= size {
		return s
	}
	const more = "…"
	end := size - len(more)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + more
}
