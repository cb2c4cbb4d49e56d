package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"holdfast/workflows/orderflow"
)

func newViews() *cobra.Command {
	var ui, namespace, customer string
	cmd := &cobra.Command{
		Use:   "views",
		Short: "Print links to the lists of the Web UI that operators open often",
		Long: "Prints links to ready-made lists of Temporal's Web UI: open orders, what needs an operator, failed orders,\n" +
			"orders that expire within the hour from now, and the orders of one customer.",
		Args: arguments(),
		Run: func(cmd *cobra.Command, _ []string) {
			for _, v := range orderflow.ListViews(time.Now(), customer) {
				fmt.Fprintf(cmd.OutOrStdout(), "%-24s %s\n", v.Name, v.URL(ui, namespace))
			}
		},
	}
	cmd.Flags().StringVar(&ui, "ui", "http://127.0.0.1:8233", "the address of the Web UI")
	cmd.Flags().StringVar(&namespace, "namespace", orderflow.Namespace, "the namespace of the orders")
	cmd.Flags().StringVar(&customer, "customer", "alice", "the customer of the last list, by the subject of the token")
	return cmd
}
