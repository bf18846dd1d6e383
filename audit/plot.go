package audit

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Plots are drawn as bars in a box of fixed width; the page's template turns
// them into SVG. All lengths are in pixels of the box.
const (
	plotWidth  = 720
	plotHeight = 200 // of the bars' area
	plotLeft   = 44
	plotTop    = 16
	mostBars   = 60
)

// CapPlot shows warrants per cap period against the cap.
type CapPlot struct {
	Width, Height int
	Left, Right   int
	Bars          []Bar
	Lines         []Tick // across, of the scale
	Cap           int    // height of the cap's line
	CapLabel      string
	LabelY        int
	Cut           int // older periods that are not shown
}

// Bar is an upright bar of a plot.
type Bar struct {
	X, Y, W, H int
	Middle     int
	Over       bool // beyond the cap
	Label      string
	Title      string
}

// Tick is a line of a scale.
type Tick struct {
	Y     int
	Label string
}

// capPlot returns the plot of a law's cap periods, or nil where no warrant is.
// Periods without one between others are shown empty.
func (l *Law) capPlot() *CapPlot {
	uses := fillGaps(l.Caps)
	if len(uses) == 0 {
		return nil
	}
	p := &CapPlot{Width: plotWidth, Height: plotTop + plotHeight + 34, Left: plotLeft, Right: plotWidth - 8,
		LabelY: plotTop + plotHeight + 18, Cut: max(0, len(uses)-mostBars)}
	uses = uses[p.Cut:]
	limit := int(uses[0].Cap)
	top := limit
	for _, u := range uses {
		top = max(top, u.Warrants)
	}
	y := func(n int) int { return plotTop + plotHeight - plotHeight*n/top }
	p.Cap, p.CapLabel = y(limit), "cap "+strconv.Itoa(limit)
	for _, n := range ticks(top) {
		p.Lines = append(p.Lines, Tick{y(n), strconv.Itoa(n)})
	}
	room := (p.Right - p.Left) / max(len(uses), 6)
	every := (len(uses) + 7) / 8
	for i, u := range uses {
		b := Bar{X: p.Left + i*room + room/8, W: max(2, room*3/4), Y: y(u.Warrants), Over: u.Warrants > limit,
			Title: u.From.Format("2006-01-02 15:04") + " to " + u.To.Format("2006-01-02 15:04") + ": " + strconv.Itoa(u.Warrants) + " of " + strconv.Itoa(limit)}
		b.H, b.Middle = plotTop+plotHeight-b.Y, b.X+b.W/2
		if i%every == 0 {
			b.Label = dayLabel(u)
		}
		p.Bars = append(p.Bars, b)
	}
	return p
}

func dayLabel(u CapUse) string {
	if u.To.Sub(u.From) < 24*time.Hour {
		return u.From.Format("15:04")
	}
	return u.From.Format("2 Jan 2006")
}

// fillGaps puts the empty periods between the first and the last, but no more
// than a plot shows.
func fillGaps(uses []CapUse) (all []CapUse) {
	for i, u := range uses {
		if i > 0 {
			length := u.To.Sub(u.From)
			gaps := int(u.From.Sub(uses[i-1].To) / length)
			for g := max(0, gaps-mostBars); g < gaps; g++ {
				from := uses[i-1].To.Add(time.Duration(g) * length)
				all = append(all, CapUse{from, from.Add(length), 0, u.Cap})
			}
		}
		all = append(all, u)
	}
	return all
}

// ticks returns up to five round numbers up to top.
func ticks(top int) (list []int) {
	step := 1
	for _, f := range []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000} {
		if step = f; top/f <= 5 {
			break
		}
	}
	for n := 0; n <= top; n += step {
		list = append(list, n)
	}
	return list
}

// SharePlot shows lying bars of two parts each: what custodians released and
// refused, or lengths of time.
type SharePlot struct {
	Width, Height int
	Rows          []Share
	First, Second string // what the parts are; Second may be empty
}

// Share is a row of a [SharePlot].
type Share struct {
	Y, TextY int
	Name     string
	X        int // where the bars begin
	W1, W2   int
	X2, EndX int
	N1, N2   int
	EndLabel string
}

const (
	rowHeight = 26
	nameWidth = 190
)

// custodianPlot shows releases and refusals by custodian.
func (n *Numbers) custodianPlot() *SharePlot {
	names := map[string]bool{}
	for who := range n.ReleasesByCustodian {
		names[who] = true
	}
	for who := range n.RefusalsByCustodian {
		names[who] = true
	}
	p := &SharePlot{Width: plotWidth, First: "released", Second: "refused"}
	for _, who := range slices.Sorted(maps.Keys(names)) {
		p.Rows = append(p.Rows, Share{Name: who, N1: n.ReleasesByCustodian[who], N2: n.RefusalsByCustodian[who]})
	}
	return p.place()
}

// plot shows how many lengths of time there are of which size.
func (l *Lengths) plot() *SharePlot {
	if l == nil {
		return nil
	}
	p := &SharePlot{Width: plotWidth, First: "orders"}
	bounds := []struct {
		name  string
		below uint64
	}{{"under a minute", 60}, {"under an hour", 3600}, {"under 8 hours", 8 * 3600}, {"under a day", 86400}, {"a day or more", 1 << 63}}
	i := 0
	for _, b := range bounds {
		s := Share{Name: b.name}
		for ; i < len(l.All) && l.All[i] < b.below; i++ {
			s.N1++
		}
		p.Rows = append(p.Rows, s)
	}
	return p.place()
}

// place lays the rows out, or returns nil if there is nothing to show.
func (p *SharePlot) place() *SharePlot {
	if len(p.Rows) == 0 {
		return nil
	}
	most := slices.MaxFunc(p.Rows, func(a, b Share) int { return cmp.Compare(a.N1+a.N2, b.N1+b.N2) })
	top := max(1, most.N1+most.N2)
	for i := range p.Rows {
		s := &p.Rows[i]
		s.Y, s.TextY, s.X = i*rowHeight+4, i*rowHeight+18, nameWidth
		room := plotWidth - nameWidth - 70
		s.W1, s.W2 = room*s.N1/top, room*s.N2/top
		s.X2 = s.X + s.W1
		s.EndX, s.EndLabel = s.X2+s.W2+8, strconv.Itoa(s.N1)
		if s.N2 > 0 {
			s.EndLabel += " + " + strconv.Itoa(s.N2)
		}
	}
	p.Height = len(p.Rows)*rowHeight + 8
	return p
}
