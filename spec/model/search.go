package model

// Graph is every state of a world, in the order of the shortest way to it.
type Graph struct {
	world  *World
	states []State
	parent []int32 // of each state; its own of the first
	by     []Step  // from the parent
	edges  [][2]int32
}

// Search visits every state, breadth first, until visit returns false.
func Search(w *World, visit func(*World, *State) bool) *Graph {
	g := &Graph{world: w}
	index := map[State]int32{}
	add := func(from int32, by Step, s State) int32 {
		i, ok := index[s]
		if !ok {
			i = int32(len(g.states))
			index[s] = i
			g.states, g.parent, g.by = append(g.states, s), append(g.parent, from), append(g.by, by)
		}
		return i
	}
	add(0, Step{}, State{})
	for i := 0; i < len(g.states); i++ {
		s := g.states[i]
		if !visit(w, &s) {
			g.states = g.states[:i+1]
			return g
		}
		w.steps(&s, func(by Step, n State) {
			if to := add(int32(i), by, n); to != int32(i) {
				g.edges = append(g.edges, [2]int32{int32(i), to})
			}
		})
	}
	return g
}

// Size returns the number of states.
func (g *Graph) Size() int { return len(g.states) }

// Last returns the state visited last.
func (g *Graph) Last() int { return len(g.states) - 1 }

// Stuck returns the first state from which a request that is due can't be
// opened any more, however the world goes on, or -1. Liveness is reachability here: a
// notary that withholds for ever is not blamed on the custodians.
func (g *Graph) Stuck() int {
	for r := range g.world.Requests {
		reaches := g.reaching(func(s *State) bool { return s.Opened&(1<<r) != 0 })
		for i := range g.states {
			if !reaches[i] && g.world.due(&g.states[i], r) {
				return i
			}
		}
	}
	return -1
}

// reaching marks the states from which one of the goals can be reached.
func (g *Graph) reaching(goal func(*State) bool) []bool {
	start := make([]int32, len(g.states)+2) // edges by where they lead, in one list
	for _, e := range g.edges {
		start[e[1]+2]++
	}
	for i := 2; i < len(start); i++ {
		start[i] += start[i-1]
	}
	from := make([]int32, len(g.edges))
	for _, e := range g.edges {
		from[start[e[1]+1]] = e[0]
		start[e[1]+1]++
	}
	marked := make([]bool, len(g.states))
	var todo []int32
	mark := func(i int32) {
		if !marked[i] {
			marked[i] = true
			todo = append(todo, i)
		}
	}
	for i := range g.states {
		if goal(&g.states[i]) {
			mark(int32(i))
		}
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, before := range from[start[i]:start[i+1]] {
			mark(before)
		}
	}
	return marked
}
