// Command referencepage writes the reference of the interfaces as a Markdown page.
package main

import (
	"fmt"
	"os"

	"holdfast/internal/apireference"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: referencepage FILE")
		os.Exit(2)
	}
	page, err := apireference.Page()
	if err == nil {
		err = os.WriteFile(os.Args[1], []byte(page), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "referencepage:", err)
		os.Exit(1)
	}
}
