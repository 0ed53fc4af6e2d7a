"""Points that go down functions: what a trial is where its model is a function. Needs torch, the engine's optimizers.

values    what each function of `formulas` computes, with slopes and curvatures, for L points at once
paths     L points on their way: optimizers, noise, constraints, and where a path leaves every bound
training  a unit of work as the study wants it: paths in, records out
looking   one point looked at: value, slope, curvature; whether a function is convex in its box

All is float64, and a path's bits are its own: L is a multiple of LANES, so that no point falls into the rest of a
vector, where elementary functions round otherwise.
"""
