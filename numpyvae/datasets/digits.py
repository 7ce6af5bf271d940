"""The ten digits as pen strokes: the path of the pen, before it is bent, slanted and drawn."""
from __future__ import annotations

import numpy as np

# For each digit, the ways to write it, each with its share in percent.  A stroke lists the points that the pen
# passes, x to the right and y down, in hundredths of the digit's height; "|" lifts the pen.  The pen moves
# smoothly through the points of a stroke, including the first if it ends where it began.  Strokes that share
# a point stay joined there, so a corner is two strokes.
STYLES: dict[int, list[tuple[int, str]]] = {
    0: [(70, "44,0 16,14 2,50 14,87 38,100 64,86 78,48 66,12 44,0"),
        (30, "52,2 20,12 2,50 14,89 40,99 66,84 76,46 64,8 46,4 36,12")],
    1: [(90, "30,0 30,33 30,67 30,100"),
        (6, "12,22 30,0 | 30,0 30,50 30,100"),
        (4, "12,22 30,0 | 30,0 30,50 30,100 | 8,100 30,100 54,100")],
    2: [(45, "6,24 22,3 48,2 62,22 50,54 26,80 4,98 | 4,98 34,97 70,94"),
        (40, "6,22 26,2 52,6 60,28 44,62 22,90 6,96 2,84 18,78 44,92 72,92"),
        (15, "6,24 22,3 48,2 60,24 46,58 24,82 4,98 | 4,98 24,88 46,96 70,88")],
    3: [(65, "8,12 30,0 54,8 52,32 24,47 | 24,47 54,54 64,78 42,99 4,92"),
        (35, "6,10 34,0 56,14 46,36 26,46 22,50 44,52 62,70 50,94 24,100 2,88")],
    4: [(50, "12,4 6,30 10,50 36,54 66,46 | 66,0 60,40 54,100"),
        (30, "8,6 4,44 20,54 40,50 56,42 | 58,2 54,44 48,100"),
        (20, "48,0 26,30 4,58 | 4,58 36,60 70,56 | 48,0 46,50 42,100")],
    5: [(45, "72,0 44,4 22,6 | 22,6 17,24 12,44 | 12,44 34,42 50,58 46,84 24,100 0,92"),
        (30, "72,2 42,2 20,10 16,28 28,44 46,58 44,82 22,100 0,90"),
        (25, "20,8 18,24 14,42 | 14,42 36,42 50,60 42,88 20,100 0,92 | 20,8 46,5 74,0")],
    6: [(60, "52,0 28,16 10,48 6,80 26,100 50,88 54,66 34,56 14,68 8,82"),
        (40, "36,0 18,24 6,58 12,92 36,100 56,84 50,62 28,62 10,80")],
    7: [(65, "0,12 36,8 72,4 | 72,4 48,46 30,100"),
        (20, "0,10 36,9 72,4 | 72,4 48,46 30,100 | 22,54 44,50 68,46"),
        (15, "0,28 4,10 | 4,10 36,9 70,6 | 70,6 52,44 40,100")],
    8: [(60, "66,12 42,0 18,12 24,34 42,50 54,76 32,100 8,88 16,64 46,40 66,12"),
        (40, "68,6 44,1 20,12 24,34 42,50 52,78 32,100 10,88 18,64 46,42 70,16")],
    9: [(65, "60,16 38,2 12,16 8,40 28,50 50,38 60,16 | 60,16 54,58 44,100"),
        (35, "58,14 36,2 12,16 8,40 28,50 50,36 58,14 | 58,14 58,50 48,82 26,98")],
}
SEGMENTS = 48    # straight lines per digit


def _stroke_matrix(k: int, closed: bool, segments: int) -> np.ndarray:
    """(segments + 1, k): the matrix from k control points to evenly timed points of the curve through them.

    The curve is the uniform Catmull-Rom spline: between P1 and P2, with neighbours P0 and P3,

    2 P(t) = 2 P1 + (P2 - P0) t + (2 P0 - 5 P1 + 4 P2 - P3) t^2 + (3 P1 - P0 - 3 P2 + P3) t^3.

    An open curve gets a mirrored neighbour at each end.  The curve is linear in the points, hence a matrix.
    [Catmull & Rom 1974, "A class of local interpolating splines"]
    """
    eye = np.eye(k)
    if closed:
        ring = eye[:-1]    # the last point is the first
        around = np.vstack([ring[-1:], ring, ring[:2]])
    else:
        around = np.vstack([2 * eye[0] - eye[1], eye, 2 * eye[-1] - eye[-2]])
    time = np.linspace(0.0, k - 1.0, segments + 1)
    span = np.minimum(time.astype(int), k - 2)
    t = (time - span)[:, None]
    p0, p1, p2, p3 = (around[span + j] for j in range(4))
    return 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
                  + (3 * p1 - p0 - 3 * p2 + p3) * t**3)


def _curve(path: str) -> tuple[np.ndarray, np.ndarray]:
    """A style's control points (K, 2), and the matrices (2, SEGMENTS, K) from them to the segments' ends."""
    strokes = [[tuple(float(v) / 100 for v in point.split(",")) for point in stroke.split()]
               for stroke in path.split("|")]
    points = sorted({point for stroke in strokes for point in stroke})
    spans = np.cumsum([0] + [len(stroke) - 1 for stroke in strokes])
    shares = np.rint(SEGMENTS * spans / spans[-1]).astype(int)
    starts, ends = [], []
    for stroke, segments in zip(strokes, np.diff(shares)):
        pick = np.eye(len(points))[[points.index(point) for point in stroke]]
        curve = _stroke_matrix(len(stroke), stroke[0] == stroke[-1], segments) @ pick
        starts.append(curve[:-1])
        ends.append(curve[1:])
    return np.array(points), np.array([np.vstack(starts), np.vstack(ends)])


def styles() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All styles: shares (10, M) that sum to 1, points (10, M, K, 2), matrices (10, M, 2, SEGMENTS, K).

    M is the largest number of styles of a digit, K that of points; where there are fewer, the rest is zero.
    """
    curves = [[_curve(path) for _, path in ways] for ways in STYLES.values()]
    m = max(len(ways) for ways in curves)
    k = max(len(points) for ways in curves for points, _ in ways)
    shares, points = np.zeros((10, m)), np.zeros((10, m, k, 2))
    matrices = np.zeros((10, m, 2, SEGMENTS, k))
    for digit, ways in enumerate(curves):
        for style, (control, curve) in enumerate(ways):
            shares[digit, style] = STYLES[digit][style][0] / 100
            points[digit, style, :len(control)] = control
            matrices[digit, style, ..., :len(control)] = curve
    return shares, points, matrices
