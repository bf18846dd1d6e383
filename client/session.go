package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"

	"writ/api"
	"writ/internal/wire"
)

// session is a login at delivery.
type session struct {
	token string
	skew  time.Duration // delivery's clock minus own, at the login
}

const (
	attempts  = 4
	firstWait = 100 * time.Millisecond
	maxWait   = 5 * time.Second
	callTime  = 2 * time.Minute // of one attempt: nothing else is done meanwhile
)

// maxSkew is how far this device's clock may be from delivery's, which takes a
// commit only if it is not much further off.
const maxSkew = 90 * time.Second

// call makes a request in the device's session, logging in first if need be.
func call[Req, Res any](ctx context.Context, d *Device, f func(context.Context, *Req) (*Res, error), req *Req) (*Res, error) {
	for again := false; ; again = true {
		if err := d.login(ctx); err != nil {
			return nil, err
		}
		res, err := retry(ctx, func(ctx context.Context, req *Req) (*Res, error) {
			return f(d.authorize(ctx), req)
		}, req)
		if again || connect.CodeOf(err) != connect.CodeUnauthenticated {
			return res, err
		}
		d.session.token = ""
	}
}

func (d *Device) authorize(ctx context.Context) context.Context {
	ctx, info := connect.NewClientContext(ctx)
	info.RequestHeader().Set("Authorization", "Bearer "+d.session.token)
	return ctx
}

// retry repeats a request that delivery could not take. Every request may be
// repeated: delivery knows it again by its mid, its request id or its content.
func retry[Req, Res any](ctx context.Context, f func(context.Context, *Req) (*Res, error), req *Req) (*Res, error) {
	wait := firstWait
	for n := 1; ; n++ {
		res, err := once(ctx, f, req)
		if err == nil || n == attempts || !temporary(err) {
			return res, err
		}
		if ms := hint(err).GetRetryAfterMs(); ms > 0 {
			wait = min(time.Duration(ms)*time.Millisecond, maxWait)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		wait = min(2*wait, maxWait)
	}
}

// once makes a request that is not repeated. A connection can die without a word, and who
// answers can wait for ever.
func once[Req, Res any](ctx context.Context, f func(context.Context, *Req) (*Res, error), req *Req) (*Res, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return f(ctx, req)
}

// temporary reports whether the same request may succeed later.
func temporary(err error) bool {
	switch connect.CodeOf(err) {
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeCanceled, connect.CodeUnknown, connect.CodeInternal:
		return true
	}
	return false
}

// hint returns the detail of delivery's error, nil if there is none.
func hint(err error) *api.Hint {
	var e *connect.Error
	if !errors.As(err, &e) {
		return nil
	}
	for _, detail := range e.Details() {
		if v, err := detail.Value(); err == nil {
			if h, ok := v.(*api.Hint); ok {
				return h
			}
		}
	}
	return nil
}

func (d *Device) login(ctx context.Context) error {
	if d.self == nil || !d.self.registered {
		return errNotRegistered
	}
	if d.session.token != "" {
		return nil
	}
	challenge, err := retry(ctx, d.cfg.Delivery.Challenge, &api.ChallengeRequest{Account: d.self.Account, Device: d.self.Device})
	if err != nil {
		return fmt.Errorf("client: login: %w", err)
	}
	var w wire.Writer
	w.String(d.self.Account)
	w.String(d.self.Device)
	w.Opaque([]byte(d.cfg.Address))
	w.Opaque(challenge.Challenge)
	signature := d.sign("login", w.Bytes())
	res, err := once(ctx, d.cfg.Delivery.Login, &api.LoginRequest{Account: d.self.Account, Device: d.self.Device,
		Challenge: challenge.Challenge, Signature: signature})
	if connect.CodeOf(err) == connect.CodePermissionDenied {
		return fmt.Errorf("client: login: %w: %w", ErrUnlisted, err)
	}
	if err != nil {
		return fmt.Errorf("client: login: %w", err)
	}
	d.session.token = res.Token
	d.session.skew = time.UnixMilli(int64(res.NowMs)).Sub(d.cfg.Now()).Round(time.Second)
	d.dropOthers(ctx)
	return nil
}

// dropOthers shows delivery the own account's statements if it has a device that they
// dropped, so that its sessions end. They can be hundreds, so delivery is asked first. What
// fails is tried at the next login: members don't rely on it.
func (d *Device) dropOthers(ctx context.Context) {
	a := d.accounts[d.self.Account]
	if d.own == nil || a == nil || d.session.token == "" {
		return
	}
	if !slices.ContainsFunc(a.devices, func(k known) bool { return !k.listed }) {
		return
	}
	res, err := once(d.authorize(ctx), d.cfg.Delivery.Devices, &api.DevicesRequest{Account: d.self.Account})
	if err == nil && slices.ContainsFunc(res.Devices, a.dropped) {
		once(d.authorize(ctx), d.cfg.Delivery.DropDevices, &api.DropDevicesRequest{Statements: d.own.Encode()})
	}
}

// dropped reports whether the account dropped a device that delivery has.
func (a *account) dropped(r *api.RegisteredDevice) bool {
	k, ok := find(a.devices, r.Device)
	return ok && !k.listed && bytes.Equal(k.Key[:], r.SignatureKey)
}

// checkClock says so if this device's clock and delivery's differ too much. Epochs
// that this device opened would then be refused by the others.
func (d *Device) checkClock() error {
	if d.session.skew.Abs() <= min(maxSkew, d.cfg.ClockTolerance) {
		return nil
	}
	direction := "behind"
	if d.session.skew < 0 {
		direction = "ahead of"
	}
	return fmt.Errorf("client: refused: this device's clock is %v %s delivery's: %w", d.session.skew.Abs(), direction, ErrClock)
}

// sign signs with the device's key, which is the one of its MLS leaves.
func (d *Device) sign(name string, content []byte) []byte {
	key := d.private()
	defer clear(key)
	return ed25519.Sign(key, wire.SignContent(name, content))
}

// private returns the device's key. The caller erases it.
func (d *Device) private() ed25519.PrivateKey {
	seed := d.self.key.Bytes()
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed)
}
