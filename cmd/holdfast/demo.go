package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/auth"
	"holdfast/internal/firstorder"
)

// demoTokenLife is long enough to try the platform for a day.
const demoTokenLife = 12 * time.Hour

func newDemo() *cobra.Command {
	var gateway, public string
	var links []string
	cmd := &cobra.Command{
		Use: "demo", Args: arguments(),
		Short: "Place an order through the gateway, and print its timeline and a request to try.",
		Long: "Places an order of an example product (holdfast seed), pays it with a card of the payment sandbox, waits\n" +
			"until it is confirmed, and prints its timeline, the addresses and a request with a token. The token is\n" +
			"signed as those of `holdfast token`. The exit status says whether the order was confirmed.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := tokenConfig()
			if err != nil {
				return err
			}
			token, err := auth.Sign(cfg, "alice", auth.Customer, demoTokenLife)
			if err != nil {
				return err
			}
			order, timeline, err := firstorder.Client{Gateway: gateway, Token: token}.Place(cmd.Context())
			if err != nil {
				return err
			}

			out := cmd.OutOrStdout()
			firstorder.PrintTimeline(out, order, timeline)
			if public == "" {
				public = gateway
			}
			fmt.Fprintf(out, "\n  API and docs: %s/docs\n", public)
			for _, link := range links {
				fmt.Fprintf(out, "  %s\n", link)
			}
			firstorder.PrintExample(out, public, token)
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&gateway, "gateway", "http://127.0.0.1:3000", "where this command reaches the gateway")
	flags.StringVar(&public, "public", "", "the gateway's address in what is printed, if it is another one")
	flags.StringArrayVar(&links, "link", nil,
		"a line to print with the addresses, as in 'Temporal UI: http://127.0.0.1:8233'")
	return cmd
}
