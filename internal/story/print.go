package story

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

const (
	timeLayout = "2006-01-02 15:04:05.000"
	gap        = 2  // between two columns
	minDetail  = 40 // characters of a detail that a narrow terminal shows; it wraps them
)

// Print writes the entries as a table, in UTC. If width is not 0, details are cut so that a line has at most width
// characters. Characters that a terminal would act on become a question mark.
func Print(out io.Writer, entries []Entry, width int) error {
	source, what := len("SOURCE"), len("WHAT")
	for _, e := range entries {
		source = max(source, utf8.RuneCountInString(e.Source))
		what = max(what, utf8.RuneCountInString(e.What))
	}
	room := max(width-len(timeLayout)-source-what-3*gap, minDetail)

	w := tabwriter.NewWriter(out, 0, 0, gap, ' ', 0)
	fmt.Fprintln(w, "TIME (UTC)\tSOURCE\tWHAT\tDETAIL")
	for _, e := range entries {
		detail := e.Detail
		if width > 0 {
			detail = shorten(detail, room)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.At.UTC().Format(timeLayout),
			harmless(e.Source), harmless(e.What), harmless(detail))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the story: %w", err)
	}
	return nil
}

func shorten(s string, most int) string {
	if characters := []rune(s); len(characters) > most {
		return string(characters[:most-1]) + "…"
	}
	return s
}

func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
