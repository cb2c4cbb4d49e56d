package orderflow

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/order"
)

// ListView is a list of workflows that operators open often.
type ListView struct {
	Name  string
	Query string // a list filter of Temporal
}

// ListViews returns the views, the most wanted first. Temporal's filters have no present time, so the view of orders
// that expire within an hour is right at now only. The view of one customer's orders is of the given customer.
func ListViews(now time.Time, customer string) []ListView {
	orders := fmt.Sprintf("WorkflowType = '%s'", OrderWorkflow)
	const running = "ExecutionStatus = 'Running'"
	return []ListView{
		{"open orders", orders + " AND " + running},
		{"needs an operator", fmt.Sprintf("%s = true AND %s", AttrNeedsOperator.GetName(), running)},
		{"failed or stopped", fmt.Sprintf("%s AND (%s = '%s' OR ExecutionStatus IN ('Failed', 'Terminated', 'TimedOut'))",
			orders, AttrOrderStatus.GetName(), order.Failed)},
		{"expires within the hour", fmt.Sprintf("%s AND %s < '%s'", running, AttrExpiresAt.GetName(),
			now.Add(time.Hour).UTC().Format(time.RFC3339))},
		{"orders of " + customer, fmt.Sprintf("%s = '%s'", AttrCustomerID.GetName(), quoted.Replace(customer))},
	}
}

var quoted = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

// URL is the address of the view in a Web UI, as in http://127.0.0.1:8233.
func (v ListView) URL(ui, namespace string) string {
	return fmt.Sprintf("%s/namespaces/%s/workflows?query=%s",
		strings.TrimSuffix(ui, "/"), url.PathEscape(namespace), strings.ReplaceAll(url.QueryEscape(v.Query), "+", "%20"))
}

// ListColumns are the columns with which a list of the Web UI is worth reading, in their order.
func ListColumns() []string {
	return []string{
		"Status",
		AttrOrderNumber.GetName(),
		AttrOrderStatus.GetName(),
		AttrCustomerID.GetName(),
		AttrSKUs.GetName(),
		AttrAmountMinor.GetName(),
		AttrCurrency.GetName(),
		AttrExpiresAt.GetName(),
		"Start",
		AttrReservationStatus.GetName(),
		"Workflow ID",
	}
}
