package main

import (
	"fmt"
	"strings"
)

// badge draws the shares as a picture: a grey field with the word, and a green one with the figures.
func badge(found []measured) string {
	const label, height, perLetter, margin = "coverage", 20, 7, 8
	figures := make([]string, len(found))
	for i, m := range found {
		figures[i] = fmt.Sprintf("%s %.0f %%", m.part, m.share)
	}
	text := strings.Join(figures, " · ")
	left := len(label)*perLetter + 2*margin
	right := len([]rune(text))*perLetter + 2*margin
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" role="img" aria-label="%s: %s">
<rect width="%d" height="%d" fill="#555"/><rect x="%d" width="%d" height="%d" fill="#2e7d32"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="%d" y="14">%s</text><text x="%d" y="14">%s</text>
</g>
</svg>
`, left+right, height, label, text, left, height, left, right, height, left/2, label, left+right/2, text)
}
