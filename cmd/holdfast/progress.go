package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
)

// progress shows how far a command is: on a terminal in one line that it overwrites, elsewhere in plain lines, at most
// one a second beside the first and the last of each step.
type progress struct {
	out  io.Writer
	live bool
	step string
	last time.Time
}

func newProgress(out io.Writer) *progress { return &progress{out: out, live: isTerminal(out)} }

// isTerminal reports whether the stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// at shows that done of total parts of a step are done; a total of 0 means that the total is unknown.
func (p *progress) at(step string, done, total int) {
	ended := total > 0 && done >= total
	if !p.live && !ended && step == p.step && time.Since(p.last) < time.Second {
		return
	}
	p.step, p.last = step, time.Now()
	text := fmt.Sprintf("%s: %d", step, done)
	if total > 0 {
		text += fmt.Sprintf(" of %d", total)
	}
	if !p.live {
		fmt.Fprintln(p.out, text)
		return
	}
	fmt.Fprint(p.out, "\r\x1b[K"+text)
	if ended {
		p.end()
	}
}

// clear removes the live line, so that the next output does not begin after it.
func (p *progress) clear() {
	if p.live && p.step != "" {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// end finishes the live line, so that the next output begins on a new line.
func (p *progress) end() {
	if p.live && p.step != "" {
		fmt.Fprintln(p.out)
	}
	p.step = ""
}
