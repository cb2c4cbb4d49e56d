package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// progress shows how far a command is: on a terminal in one line that it overwrites, elsewhere in plain lines, at most
// one a second beside the first and the last of each step, or at most one in a longer pace.
type progress struct {
	out  io.Writer
	live bool
	pace time.Duration // 0: lines for each step
	step string
	last time.Time
	// waiting is the newest line of the step, if it came too soon after the one before.
	waiting string
}

func newProgress(out io.Writer) *progress { return &progress{out: out, live: isTerminal(out)} }

// slowPace is that of a command whose steps say little to the reader of a file.
const slowPace = 10 * time.Second

// newSlowProgress shows on a terminal what newProgress shows, and elsewhere one line every ten seconds, so none at all
// for a command that is done sooner.
func newSlowProgress(out io.Writer) *progress {
	return &progress{out: out, live: isTerminal(out), pace: slowPace, last: time.Now()}
}

// isTerminal reports whether the stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// terminalWidth is how many characters a line of the stream shows, or 0 if it is no terminal.
func terminalWidth(stream any) int {
	f, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// at shows that done of total parts of a step are done; a total of 0 means that the total is unknown.
func (p *progress) at(step string, done, total int) {
	ended := total > 0 && done >= total
	text := fmt.Sprintf("%s: %d", step, done)
	if total > 0 {
		text += fmt.Sprintf(" of %d", total)
	}
	if !p.live {
		p.line(step, text, ended)
		return
	}
	p.step = step
	fmt.Fprint(p.out, "\r\x1b[K"+text)
	if ended {
		p.end()
	}
}

// line prints a line, or keeps it until the step is over if it comes too soon.
func (p *progress) line(step, text string, ended bool) {
	if p.pace > 0 {
		if time.Since(p.last) >= p.pace {
			p.last = time.Now()
			fmt.Fprintln(p.out, text)
		}
		return
	}
	if step != p.step {
		p.flush()
	} else if !ended && time.Since(p.last) < time.Second {
		p.waiting = text
		return
	}
	p.step, p.last, p.waiting = step, time.Now(), ""
	fmt.Fprintln(p.out, text)
}

// flush prints the last line of a step.
func (p *progress) flush() {
	if p.waiting != "" {
		fmt.Fprintln(p.out, p.waiting)
		p.waiting = ""
	}
}

// clear removes the live line, so that the next output does not begin after it.
func (p *progress) clear() {
	if p.live && p.step != "" {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// end prints what waits and finishes the live line, so that the next output begins on a new line.
func (p *progress) end() {
	p.flush()
	if p.live && p.step != "" {
		fmt.Fprintln(p.out)
	}
	p.step = ""
}
