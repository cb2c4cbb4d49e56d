package payment

import "errors"

// Outcome is how an authorisation ended, from its answer or from a look-up.
type Outcome string

// The outcomes of an authorisation.
const (
	OutcomeApproved       Outcome = "approved" // the money is set aside, or taken already
	OutcomeDeclined       Outcome = "declined" // by the bank or the provider; CodeOf says why
	OutcomeRequiresAction Outcome = "requires_action"
	OutcomeRefused        Outcome = "refused" // the key can never be authorised: voided, used otherwise, not possible
	OutcomeUnknown        Outcome = "unknown" // to be resolved under the same key: look it up, repeat it or void it
)

// OutcomeOf returns the outcome of an authorisation from the answer of Authorise or Get. A payment that Get does not
// find has an unknown outcome, because its request may still be under way.
func OutcomeOf(p Payment, err error) Outcome {
	var declined *DeclinedError
	var action *ActionRequiredError
	var refused *RefusedError
	switch {
	case errors.As(err, &declined):
		return OutcomeDeclined
	case errors.As(err, &action):
		return OutcomeRequiresAction
	case errors.As(err, &refused), errors.Is(err, ErrVoided), errors.Is(err, ErrKeyUsed):
		return OutcomeRefused
	case err != nil:
		return OutcomeUnknown
	}
	switch p.State {
	case Authorised, Captured:
		return OutcomeApproved
	case Declined:
		return OutcomeDeclined
	case RequiresAction:
		return OutcomeRequiresAction
	case Voided:
		return OutcomeRefused
	}
	return OutcomeUnknown
}

// Answer returns what Authorise answers for a payment in this state: an error unless the money is set aside or taken.
func (p Payment) Answer() (Payment, error) {
	switch p.State {
	case Declined:
		return Payment{}, &DeclinedError{Code: p.DeclineCode}
	case RequiresAction:
		return Payment{}, &ActionRequiredError{Payment: p}
	case Voided:
		return Payment{}, ErrVoided
	case Authorised, Captured:
	}
	return p, nil
}

// CodeOf returns the code of a declined payment or a refused request; for any other error it is empty.
func CodeOf(err error) Code {
	var declined *DeclinedError
	var refused *RefusedError
	switch {
	case errors.As(err, &declined):
		return declined.Code
	case errors.As(err, &refused):
		return refused.Code
	}
	return ""
}
