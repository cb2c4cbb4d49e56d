// Command coverage reads a coverage profile of `go test` and fails if a part of the code is covered less than its
// floor. With a second argument it also draws the shares as a badge for the README.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// floor is how many per cent of the statements of each part tests must execute.
const floor = 80.0

// parts of the code, by the folders below the module. Generated code is not counted.
var parts = []struct {
	name    string
	folders []string
}{
	{"domain", []string{"internal/order", "internal/money", "inventory/stock"}},
	{"application", []string{"workflows", "activities", "api", "inventory", "gateway", "workers", "internal/orderstore"}},
	{"messaging", []string{
		"internal/outbox", "internal/rabbitmq", "internal/consumer", "internal/orderconsumer", "internal/deadletter",
		"internal/events", "internal/eventprocess", "internal/merchantwebhook", "internal/notification", "inventory/backstop",
	}},
}

// block is a piece of code of a profile. One profile names it once for each package that was tested.
type block struct {
	file, place string
	statements  int
}

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: coverage PROFILE [BADGE.svg]")
		os.Exit(2)
	}
	profile, err := os.Open(os.Args[1])
	var found []measured
	if err == nil {
		found, err = check(profile, os.Stdout)
	}
	if err == nil && len(os.Args) == 3 {
		err = os.WriteFile(os.Args[2], []byte(badge(found)), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
}

// measured is the coverage of a part, in per cent.
type measured struct {
	part  string
	share float64
}

// check prints and returns the coverage of each part, and returns an error for each that is below the floor.
func check(profile io.Reader, out io.Writer) (found []measured, faults error) {
	executed, err := read(profile)
	if err != nil {
		return nil, err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, part := range parts {
		total, covered := 0, 0
		for b, run := range executed {
			if !belongs(b.file, part.folders) {
				continue
			}
			total += b.statements
			if run {
				covered += b.statements
			}
		}
		if total == 0 {
			faults = errors.Join(faults, fmt.Errorf("the profile has no code of the part %s", part.name))
			continue
		}
		share := 100 * float64(covered) / float64(total)
		found = append(found, measured{part.name, share})
		fmt.Fprintf(w, "%s\t%.1f %%\t%d of %d statements\n", part.name, share, covered, total)
		if share < floor {
			faults = errors.Join(faults, fmt.Errorf("%s is covered by %.1f %%, below %.0f %%", part.name, share, floor))
		}
	}
	return found, errors.Join(faults, w.Flush())
}

// read returns whether any test executed a block.
func read(profile io.Reader) (map[block]bool, error) {
	executed := map[block]bool{}
	lines := bufio.NewScanner(profile)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "mode:") {
			continue
		}
		fields := strings.Fields(line)
		file, place, ok := strings.Cut(fields[0], ":")
		if len(fields) != 3 || !ok {
			return nil, fmt.Errorf("this is not a line of a profile: %q", line)
		}
		statements, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
		b := block{strings.TrimPrefix(file, "holdfast/"), place, statements}
		executed[b] = executed[b] || fields[2] != "0"
	}
	return executed, lines.Err()
}

func belongs(file string, folders []string) bool {
	if strings.HasSuffix(file, ".gen.go") || strings.HasSuffix(file, "main.go") || strings.Contains(file, "test/") {
		return false
	}
	for _, folder := range folders {
		if strings.HasPrefix(file, folder+"/") {
			return true
		}
	}
	return false
}
