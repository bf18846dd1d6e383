package delivery

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"connectrpc.com/connect"
	"writ/api"
	"writ/engine"
)

// fault makes an error of a code with a hint: what the caller can do.
func fault(code connect.Code, hint *api.Hint, format string, args ...any) error {
	e := connect.NewError(code, fmt.Errorf("delivery: "+format, args...))
	if hint.RetryAfterMs > 0 {
		e.Meta().Set("Retry-After", strconv.Itoa(int(hint.RetryAfterMs+999)/1000)) // RFC 9110 section 10.2.3
	}
	if d, err := connect.NewErrorDetail(hint); err == nil {
		e.AddDetail(d)
	}
	return e
}

func malformed(format string, args ...any) error {
	return fault(connect.CodeInvalidArgument, &api.Hint{Hint: "The request can't be right however often it is sent."}, "malformed: "+format, args...)
}

func refused(format string, args ...any) error {
	return fault(connect.CodePermissionDenied, &api.Hint{Hint: "The charter or the conversation's membership does not allow this."}, "refused: "+format, args...)
}

func unauthenticated(format string, args ...any) error {
	return fault(connect.CodeUnauthenticated, &api.Hint{Hint: "Log in, then repeat the call."}, format, args...)
}

func notFound(what string) error {
	return fault(connect.CodeNotFound, &api.Hint{Hint: "Check the name; what was just made may not be stored."}, "no such %s", what)
}

func full(what string) error {
	return fault(connect.CodeResourceExhausted, &api.Hint{Hint: "A bound of this device is reached."}, "too many %s", what)
}

// retryAfter is how long a caller waits when the queue is full, in milliseconds.
const retryAfter = 500

// storeFault tells a caller about an error of the store. What says what was asked
// for. Errors that are nobody's fault outside go to the log and not to the caller.
func (s *Service) storeFault(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, engine.ErrNotFound):
		return notFound(what)
	case errors.Is(err, engine.ErrExists):
		return fault(connect.CodeAlreadyExists, &api.Hint{Hint: "Choose another name or id."}, "%s exists with another content", what)
	case errors.Is(err, engine.ErrFull):
		return full(what)
	case errors.Is(err, engine.ErrBusy):
		return fault(connect.CodeUnavailable, &api.Hint{Hint: "Repeat the same call with the same ids.", RetryAfterMs: retryAfter}, "too many writes are waiting")
	case errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrBroken):
		return fault(connect.CodeUnavailable, &api.Hint{Hint: "The service is ending. Repeat the same call with the same ids.", RetryAfterMs: 4 * retryAfter}, "the store is closed")
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("delivery: canceled; the outcome is unknown"))
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("delivery: too late; the outcome is unknown"))
	}
	s.log.Error("delivery", "what", what, "err", err)
	return fault(connect.CodeInternal, &api.Hint{Hint: "This is a fault of the service."}, "internal error")
}
