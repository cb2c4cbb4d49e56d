package main

import (
	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/eventprocess"
	"holdfast/internal/rabbitmq"
	"holdfast/internal/telemetry"
)

// brokerConfig is what declaring the topology needs.
type brokerConfig struct {
	config.Common
	RabbitMQ rabbitmq.Config
}

func newEvents() *cobra.Command {
	cmd := process("events", "Publish events to RabbitMQ (metrics on port 9091).", eventprocess.Run)
	run, declareOnly := cmd.RunE, false
	cmd.Flags().BoolVar(&declareOnly, "declare-only", false, "declare exchanges and queues in RabbitMQ, and end")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !declareOnly {
			return run(cmd, args)
		}
		cfg, err := config.Load[brokerConfig]()
		if err != nil {
			return err
		}
		log := telemetry.NewLogger(cmd.ErrOrStderr(), "events", cfg.LogLevel)
		return eventprocess.Declare(cmd.Context(), cfg.RabbitMQ, cmd.OutOrStdout(), log)
	}
	return cmd
}
