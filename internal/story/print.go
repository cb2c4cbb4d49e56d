package story

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// maxDetail bounds the characters of a detail that the table shows.
const maxDetail = 240

// Print writes the entries as a table, in UTC. Characters that a terminal would act on become a question mark.
func Print(out io.Writer, entries []Entry) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME (UTC)\tSOURCE\tWHAT\tDETAIL")
	for _, e := range entries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.At.UTC().Format("2006-01-02 15:04:05.000"),
			harmless(e.Source), harmless(e.What), harmless(shorten(e.Detail)))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the story: %w", err)
	}
	return nil
}

func shorten(s string) string {
	if characters := []rune(s); len(characters) > maxDetail {
		return string(characters[:maxDetail]) + " …"
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
