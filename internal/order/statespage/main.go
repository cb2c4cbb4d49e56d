// Command statespage writes the table of an order's states as a Markdown page.
package main

import (
	"fmt"
	"os"

	"holdfast/internal/order"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: statespage FILE")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(order.Page()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "statespage:", err)
		os.Exit(1)
	}
}
