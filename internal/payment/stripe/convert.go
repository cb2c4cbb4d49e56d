package stripe

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	stripego "github.com/stripe/stripe-go/v85"

	"holdfast/internal/money"
	"holdfast/internal/payment"
)

// authorisedFor is how long Stripe keeps money set aside if it does not say until when.
const authorisedFor = 7 * 24 * time.Hour

// toPayment returns a PaymentIntent as the port has it. An error means that the outcome is unknown.
func toPayment(in *stripego.PaymentIntent) (payment.Payment, error) {
	out := payment.Payment{
		Key:           in.Metadata[metaKey],
		ProviderRef:   in.ID,
		Amount:        fromStripe(in.Amount, in.Currency),
		CapturedMinor: fromStripe(in.AmountReceived, in.Currency).Minor,
	}
	if charge := in.LatestCharge; charge != nil {
		out.RefundedMinor = fromStripe(charge.AmountRefunded, in.Currency).Minor
		if d := charge.PaymentMethodDetails; d != nil && d.Card != nil && d.Card.CaptureBefore > 0 {
			until := time.Unix(d.Card.CaptureBefore, 0).UTC()
			out.AuthorisedUntil = &until
		}
	}
	if barred(in) {
		out.State, out.Amount = payment.Voided, money.Amount{}
		return out, nil
	}

	switch in.Status {
	case stripego.PaymentIntentStatusRequiresCapture:
		out.State = payment.Authorised
		if out.AuthorisedUntil == nil {
			until := time.Unix(in.Created, 0).UTC().Add(authorisedFor)
			out.AuthorisedUntil = &until
		}
	case stripego.PaymentIntentStatusSucceeded:
		out.State = payment.Captured
	case stripego.PaymentIntentStatusCanceled:
		out.State = payment.Voided
		if in.LastPaymentError != nil { // it was declined before: nothing was set aside
			out.State, out.DeclineCode = payment.Declined, declineCode(in.LastPaymentError)
		}
	case stripego.PaymentIntentStatusRequiresPaymentMethod:
		out.State, out.DeclineCode = payment.Declined, payment.ProcessingError
		if in.LastPaymentError != nil {
			out.DeclineCode = declineCode(in.LastPaymentError)
		}
	case stripego.PaymentIntentStatusRequiresAction:
		out.State = payment.RequiresAction
		if in.NextAction == nil || in.NextAction.RedirectToURL == nil {
			return out, errors.New("stripe gives no address for the customer's action; set PAYMENT_RETURN_URL")
		}
		out.Action = &payment.Action{URL: in.NextAction.RedirectToURL.URL}
	case stripego.PaymentIntentStatusProcessing, stripego.PaymentIntentStatusRequiresConfirmation:
		return out, fmt.Errorf("stripe has not decided yet: the payment is %s", in.Status)
	default:
		return out, fmt.Errorf("stripe calls the payment %q, which this version does not know", in.Status)
	}
	return out, nil
}

// barred reports whether the PaymentIntent only uses up a key.
func barred(in *stripego.PaymentIntent) bool { return in.Metadata[metaBarred] != "" }

// lapsed reports whether Stripe let go of the money by itself.
func lapsed(in *stripego.PaymentIntent) bool {
	return in.Status == stripego.PaymentIntentStatusCanceled &&
		(in.CancellationReason == stripego.PaymentIntentCancellationReasonAutomatic ||
			in.CancellationReason == stripego.PaymentIntentCancellationReasonExpired)
}

// declineCode returns the port's code of a decline. What a customer must not learn, such as a suspicion of fraud or a
// stolen card, is card_declined.
func declineCode(e *stripego.Error) payment.Code {
	switch e.DeclineCode {
	case stripego.DeclineCodeInsufficientFunds, stripego.DeclineCodeWithdrawalCountLimitExceeded:
		return payment.InsufficientFunds
	case stripego.DeclineCodeAuthenticationRequired:
		return payment.AuthenticationFailed
	case stripego.DeclineCodeProcessingError, stripego.DeclineCodeIssuerNotAvailable,
		stripego.DeclineCodeTryAgainLater, stripego.DeclineCodeReenterTransaction:
		return payment.ProcessingError
	default:
	}
	switch e.Code {
	case stripego.ErrorCodeExpiredCard:
		return payment.ExpiredCard
	case stripego.ErrorCodeIncorrectCVC, stripego.ErrorCodeInvalidCVC, stripego.ErrorCodeIncorrectNumber,
		stripego.ErrorCodeInvalidNumber, stripego.ErrorCodeInvalidExpiryMonth, stripego.ErrorCodeInvalidExpiryYear,
		stripego.ErrorCodeIncorrectZip, stripego.ErrorCodeIncorrectAddress:
		return payment.IncorrectCardDetails
	case stripego.ErrorCodePaymentIntentAuthenticationFailure:
		return payment.AuthenticationFailed
	case stripego.ErrorCodeProcessingError:
		return payment.ProcessingError
	default:
		return payment.CardDeclined
	}
}

// refuses reports whether Stripe finds the request itself impossible. A wrong secret key or too many requests say
// nothing about the payment.
func refuses(e *stripego.Error) bool {
	return e.Type == stripego.ErrorTypeInvalidRequest &&
		(e.HTTPStatusCode == http.StatusBadRequest || e.HTTPStatusCode == http.StatusNotFound)
}

func isRefusal(err error) bool {
	var e *stripego.Error
	return errors.As(err, &e) && refuses(e)
}

// refusalCode returns the port's code of a refused authorisation.
func refusalCode(e *stripego.Error) payment.Code {
	switch {
	case e.Param == "payment_method":
		return payment.UnknownMethod
	case e.Param == "amount", e.Param == "currency",
		e.Code == stripego.ErrorCodeAmountTooSmall, e.Code == stripego.ErrorCodeAmountTooLarge:
		return payment.InvalidAmount
	case e.Param == "return_url":
		return payment.InvalidReturnURL
	}
	return payment.RequestInvalid
}

// replayed reports whether Stripe has repeated its answer to the first request with the idempotency key.
func replayed(r *stripego.APIResponse) bool {
	return r != nil && r.Header.Get("Idempotent-Replayed") == "true"
}

// unknown returns an error that leaves the outcome open. It repeats only Stripe's codes, because the text of the
// library's error has the whole PaymentIntent with its client secret.
func unknown(action string, err error) error {
	var e *stripego.Error
	if errors.As(err, &e) {
		return fmt.Errorf("%s: stripe answered %d %s %s (request %s)", action, e.HTTPStatusCode, e.Type, e.Code, e.RequestID)
	}
	return fmt.Errorf("%s: reach stripe: %w", action, err)
}
