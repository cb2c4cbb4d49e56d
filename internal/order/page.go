package order

import (
	"fmt"
	"slices"
	"strings"
)

// Page returns the table as a Markdown page with a state diagram.
func Page() string {
	var b strings.Builder
	b.WriteString("<!-- Written from internal/order by `make generate`; do not edit. -->\n" +
		"# The states of an order\n\n" +
		"One table (`internal/order/transition.go`) says what each input does to an order in each state. " +
		"The workflow moves by\n" +
		"it, the orders database refuses to record a transition that is not in it, " +
		"and `make generate` writes this page from it.\n\n")

	b.WriteString("```mermaid\nstateDiagram-v2\n")
	for _, t := range Transitions() {
		from := string(t.From)
		if t.From == New {
			from = "[*]"
		}
		fmt.Fprintf(&b, "    %s --> %s: %s\n", from, t.To, strings.Join(causes(t), ", "))
	}
	for _, s := range reached() {
		if s.Closed() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	b.WriteString("```\n\nThe diagram shows changes of state only.\n\n" +
		"A column is a state. A cell names the state that follows, or in *italics* the code under which a request is " +
		"refused;\n" +
		"= means that the order already has the requested state; an empty cell means that the input cannot come.\n\n")

	states := append([]State{New}, reached()...)
	b.WriteString("| input |")
	for _, s := range states {
		fmt.Fprintf(&b, " %s |", orNew(s))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(states)) + "\n")
	for _, i := range Inputs() {
		fmt.Fprintf(&b, "| `%s` |", i)
		for _, s := range states {
			fmt.Fprintf(&b, " %s |", cell(Decide(s, i)))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")

	for _, i := range Inputs() {
		fmt.Fprintf(&b, "- `%s`: %s.\n", i, meanings[i])
	}
	var later []string
	for _, s := range States() {
		if !slices.Contains(reached(), s) {
			later = append(later, "`"+string(s)+"`")
		}
	}
	fmt.Fprintf(&b, "\nNo input leads to these states yet, but the database and the clients know them: %s.\n",
		strings.Join(later, ", "))
	return b.String()
}

// reached lists the states that some input leads to, in the order of an order's life.
func reached() []State {
	return slices.DeleteFunc(States(), func(s State) bool {
		return !slices.ContainsFunc(Transitions(), func(t Transition) bool { return t.To == s })
	})
}

// causes lists the inputs that make a transition.
func causes(t Transition) []string {
	var out []string
	for _, i := range Inputs() {
		if Decide(t.From, i).To == t.To {
			out = append(out, string(i))
		}
	}
	return out
}

func cell(r Rule) string {
	switch {
	case r.Repeated:
		return "="
	case r.Refusal != "":
		return "*" + string(r.Refusal) + "*"
	}
	return string(r.To)
}

func orNew(s State) string {
	if s == New {
		return "(new)"
	}
	return string(s)
}
