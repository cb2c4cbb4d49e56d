package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// arguments makes a command take the named arguments and no others. A name in brackets may be left out, and only such
// names follow it. The error says which argument is missing or too much, and gives the command's example.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		name := strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
		switch {
		case len(args) > len(names) && len(names) == 0 && cmd.HasSubCommands():
			return unknownSubcommand(cmd, args[0])
		case len(args) > len(names) && len(names) == 0:
			return fmt.Errorf("%s takes no arguments, and %q is one", name, args[0])
		case len(args) > len(names):
			return withExample(cmd, fmt.Sprintf("%q is one argument too many for %s", args[len(names)], name))
		case len(args) < len(names) && !strings.HasPrefix(names[len(args)], "["):
			return withExample(cmd, fmt.Sprintf("%s needs %s", name, names[len(args)]))
		}
		return nil
	}
}

// withExample is an error with the command's example, if it has one.
func withExample(cmd *cobra.Command, text string) error {
	if example := strings.TrimSpace(cmd.Example); example != "" {
		text += "; as in: " + example
	}
	return errors.New(text)
}

func unknownSubcommand(cmd *cobra.Command, name string) error {
	return fmt.Errorf("unknown command %q for %q; %s --help lists them", name, cmd.CommandPath(), cmd.CommandPath())
}
