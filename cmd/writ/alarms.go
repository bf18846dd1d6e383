package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"writ/client"
)

const alarmsName = "alarms"

func newAlarms() *cobra.Command {
	cmd := &cobra.Command{
		Use:     alarmsName,
		GroupID: "people",
		Short:   "Show what your device found about devices that you should know; answer it",
		Long: `Alarms shows what is wrong with devices, yours or others', as far as this device
found it in the public directory: a device of yours that you did not add, a list
that none of your devices signed, a directory that contradicts itself.

Each is shown with every command until you answer it: writ alarms answer NUMBER.
--json shows the evidence too, to be handed to an auditor.`,
		Args: cobra.NoArgs,
	}
	dir := homeFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withHome(cmd, *dir, func(h *home) error {
			list := h.device.Alarms()
			return show(cmd, alarmsOf(list), func(w io.Writer) {
				if len(list) == 0 {
					fmt.Fprintln(w, "There is no alarm.")
				}
				for _, a := range list {
					state := fmt.Sprintf("not answered (writ alarms answer %d)", a.Number)
					if a.Answered {
						state = "answered"
					}
					fmt.Fprintf(w, "%d  %s  %s\n   %s\n", a.Number, a.Time.UTC().Format(time.DateTime), state, oneLine(a.Text))
				}
			})
		})
	}
	cmd.AddCommand(newAlarmsAnswer(dir))
	return cmd
}

// shownAlarm is what --json prints of one.
type shownAlarm struct {
	Number   uint64    `json:"alarm"`
	Time     time.Time `json:"time"`
	Account  string    `json:"account"` // empty: the directory as a whole
	Text     string    `json:"text"`
	Evidence [][]byte  `json:"evidence"`
	Answered bool      `json:"answered"`
}

func alarmsOf(list []client.Alarm) []shownAlarm {
	out := []shownAlarm{}
	for _, a := range list {
		out = append(out, shownAlarm{a.Number, a.Time.UTC(), a.Account, a.Text, append([][]byte{}, a.Evidence...), a.Answered})
	}
	return out
}

func newAlarmsAnswer(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "answer NUMBER",
		Short: "Say that you have read an alarm and know what it is",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usage(fmt.Errorf("%q is not a number", args[0]), "writ alarms shows them with their numbers")
			}
			return withHome(cmd, *dir, func(h *home) error {
				if !slices.ContainsFunc(h.device.Alarms(), func(a client.Alarm) bool { return a.Number == number }) {
					return usage(fmt.Errorf("there is no alarm %d", number), "writ alarms shows them with their numbers")
				}
				if err := h.device.Answer(number); err != nil {
					return err
				}
				return show(cmd, map[string]uint64{"answered": number}, func(w io.Writer) { fmt.Fprintf(w, "alarm %d is answered\n", number) })
			})
		},
	}
}

// tellAlarms says what the person has not answered, after a command that does not list it.
func tellAlarms(cmd *cobra.Command, h *home) {
	if cmd.Name() == alarmsName {
		return
	}
	for _, a := range h.device.Alarms() {
		if !a.Answered {
			fmt.Fprintf(cmd.ErrOrStderr(), "ALARM %d: %s (writ alarms answer %d)\n", a.Number, oneLine(a.Text), a.Number)
		}
	}
}
