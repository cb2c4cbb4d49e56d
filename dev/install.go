package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"holdfast/tests/localservice"
)

func installCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install",
		Short: "Install PostgreSQL, Redis and RabbitMQ if they are missing",
		Long: "Installs the distribution's packages of PostgreSQL, Redis and RabbitMQ if they are missing, without\n" +
			"starting the packages' own servers. If it may not install, it says exactly what to run.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(localservice.Missing()) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "PostgreSQL, Redis and RabbitMQ are installed")
				return nil
			}
			return localservice.Install(cmd.Context(), func(message string) { fmt.Fprintln(cmd.OutOrStdout(), message) })
		},
	}
}
