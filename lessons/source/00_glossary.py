# %% [markdown]
# # Glossary
#
# The symbols of the course in one table, then its words. The last column says which lesson introduces them. Now and then a lesson
# borrows a letter for a few lines, and says so there. The mathematics behind them is in the [refresher](00_refresher.ipynb); the course
# begins with [the whole game](00_the_whole_game.ipynb).
#
# ## Symbols
#
# "In the code" is the name under which you meet it in the package or in the lesson's cells. Gradients are `d` and the name of what they
# belong to: `dmu` is the gradient for `mu`.

# %% [markdown]
# | symbol | say | meaning | in the code | lesson |
# |---|---|---|---|---|
# | $N(0, I)$ | normal, zero, I | the Gaussian with mean 0 and variance 1 in each dimension, all independent | `standard_normal` | 0 |
# | $x$ | x | a picture, written as a row of numbers; or a batch of pictures | `x` | 1 |
# | $z$ | z | the code of a picture, its latent variables | `z` | 1 |
# | $D$ | capital D | how many numbers a picture has | `n_data` | 1 |
# | $Z$ | capital Z | how many latent dimensions there are | `n_latent` | 1 |
# | $B$ | capital B | how many pictures are in a batch | `batch_size` | 1 |
# | $m$ | m | the picture that the decoder makes, the mean of $p(x\mid z)$; in lesson 11 the padding | `m` | 1 |
# | $L$ | capital L | the loss, one number, which training makes small | `loss` | 1 |
# | $W$ | capital W | a layer's weights, a matrix | `W` | 1 |
# | $b$ | b | a layer's bias; as an index, the row of a batch | `b` | 1 |
# | $\partial L$ | d L, partial L | in a fraction: the derivative of $L$ with respect to one number, all others held still | | 1 |
# | $\sigma$ | sigma | a standard deviation: in lessons 1, 3, 9 and 10 of the pixels' noise, elsewhere of $q$ | `sigma` | 1 |
# | $\varepsilon$ | epsilon | the noise of a draw, from $N(0, I)$ | `eps` | 1 |
# | $C$ | capital C | a covariance matrix; in lesson 11 the number of channels | `C` | 1 |
# | $K$ | capital K | in lesson 1 a matrix with $K^TK = C$; from lesson 8 on how many draws of $z$ there are for a picture; in lesson 11 the side of a window, in pixels; in lesson 12 the terms of each sum in a product | `K` | 1 |
# | $c$ | c | in lesson 1 a shift of all codes, in lesson 5 a number that scales them, in lesson 6 a baseline; in lesson 11 a picture's label, one-hot, or as an index a channel | `c` | 1 |
# | $E(x)$ | E of x | the squared error of a picture, summed over its pixels | | 1 |
# | $A$ | capital A | in lesson 1 a matrix that mixes the numbers of a code | | 1 |
# | $\bar z$ | z bar | the mean of the codes of all pictures | | 1 |
# | $y$ | y | in lesson 2 what a layer puts out; in lesson 3 the probability that a pixel is 1 | `y` | 2 |
# | $dW$ | d W | the gradient: how $L$ changes with each entry of $W$; an array of the shape of $W$ | `dW` | 2 |
# | $h$ | h | a small step; in lesson 3 the distance of grid points, in lesson 7 the encoder's hidden units | `h` | 2 |
# | $a$ | a | what goes into an activation; for pixels, the logit | `a` | 2 |
# | $p(z)$ | p of z | the prior: how likely each code is before a picture is seen | `prior` | 3 |
# | $f(z)$ | f of z | the picture that the decoder turns $z$ into; in lesson 6 any function of $z$ | `decode` | 3 |
# | $p(x\mid z)$ | p of x given z | the likelihood: how likely the picture is, given the code | `likelihood` | 3 |
# | $p(x)$ | p of x | how likely the picture is, whatever its code | `log_likelihood` | 3 |
# | $\eta$ | eta | the noise on the pixels, from $N(0, I)$ | | 3 |
# | $w_n$ | w n | the weight of a point of the grid, or of a draw | `log_w` | 3 |
# | $\hat p(x)$ | p hat | an estimate of $p(x)$ by draws | | 3 |
# | $n_\text{eff}$ | n eff | the effective number: how many draws count | `effective_number` | 3 |
# | $\mathrm{sigmoid}(a)$ | sigmoid of a | $1/(1+e^{-a})$, which turns a logit into a probability | `sigmoid` | 3 |
# | $P$ | capital P | in lesson 3 a probability; in lesson 11 at how many places the window lies, along one side | `P` | 3 |
# | $N$ | capital N | in lesson 3 how many draws there are; in lesson 12 the columns of a product, or how many numbers are added | `N` | 3 |
# | $p(z\mid x)$ | p of z given x | the posterior: which codes explain the picture | `posterior` | 3 |
# | $q(z\mid x)$ | q of z given x | the encoder's proposal for the posterior, a Gaussian; $q(z)$ or $q$ for short | `posterior` | 4 |
# | $\mu$ | mu | the mean of $q$ | `mu` | 4 |
# | $\mathrm E_q$ | E q, expectation | the average over draws from $q$ | `mean` | 4 |
# | $\text{ELBO}$ | elbo | the evidence lower bound, never above $\log p(x)$ | `elbo` | 4 |
# | $\rho$ | rho | a correlation, between $-1$ and 1 | `rho` | 4 |
# | $S$ | capital S | the covariance matrix of $q$ | `S` | 4 |
# | $\mathrm{tr}$ | trace | the sum of a matrix's diagonal | `trace` | 4 |
# | $\det$ | determinant | of a covariance matrix: how much room its cloud takes | `det` | 4 |
# | $\mathrm{KL}$ | K L | the Kullback-Leibler divergence, never negative | `gaussian_kl` | 4 |
# | $w$ | w | the weight of a draw from $q$, whose average is $p(x)$ | `log_weight` | 4 |
# | $\log\sigma^2$ | log sigma squared | the logarithm of the variance of $q$, which the encoder puts out | `logvar` | 5 |
# | $s$ | s | short for $\log\sigma^2$; in lesson 10 short for $\sigma^2$, in lesson 11 the stride | `logvar` | 5 |
# | $\widetilde{\mathrm{KL}}$ | K L tilde | the misprinted KL | `misprinted_kl` | 5 |
# | $\beta$ | beta | the weight of the KL in the loss, 1 in an ordinary VAE | `beta` | 5 |
# | $\phi$ | phi | either of $\mu$ and $s$ | | 6 |
# | $J$ | capital J | the average of $f$ over $q$, which is to be made small | | 6 |
# | $\bar f$ | f bar | the mean of $f$ over the draws | | 6 |
# | $g$ | g | the decoder's hidden units | `g` | 7 |
# | $L_K$ | L K | the importance-weighted bound of $K$ draws | `iwae` | 8 |
# | $\bar w$ | w bar | the mean of $K$ weights | `log_mean_exp` | 8 |
# | $\delta$ | delta | the relative error of $\bar w$; in lesson 12 that of a rounded result | | 8 |
# | $k$ | k | the shape of a tail: how heavy it is | `pareto_k` | 8 |
# | $\hat k$ | k hat | an estimate of $k$ | `k_hat` | 8 |
# | $\lambda$ | lambda | a variance: in lesson 8 that of the posterior, in lessons 9 and 10 that of the data along an axis | `variance` | 8 |
# | $V$ | capital V | the covariance matrix of the pictures | | 9 |
# | $u$ | u | a direction in the space of pictures, of length 1; with an index, a principal axis; in lesson 12 the largest error of a rounding, $2^{-24}$ | `axes` | 9 |
# | $M$ | capital M | $WW^T + \sigma^2 I$, in lesson 9; in lesson 11 the matrix of a convolution; in lesson 12 a product's rows | `M` | 9 |
# | $R$ | capital R | in lesson 9 a rotation; in lesson 10 the rate, the mean KL, in nats of code per picture | `R` | 9 |
# | $\alpha$ | alpha | the angle of a rotation | `alpha` | 9 |
# | $r$ | r | the residual, $x - m$: what the decoder leaves over | | 9 |
# | $\theta_i$ | theta i | the principal angles of two subspaces | `principal_angles` | 9 |
# | $\kappa$ | kappa | what a dimension's KL counts at least, in free bits | `minimum` | 10 |
# | $\mathrm{fl}$ | f l | what a computer makes of a result: the nearest number that it has | | 12 |

# %% [markdown]
# ## Words
#
# | word | meaning | lesson |
# |---|---|---|
# | activation | the function that each number passes after a dense layer, such as ReLU or tanh | 2 |
# | adjoint | of a linear function: the one whose matrix is the transpose | 11 |
# | analytic | of a function: its derivative is the same in whichever direction of the complex plane one steps | 2 |
# | ancestral sampling | draw $z$ from the prior, then $x$ given $z$ | 3 |
# | autoencoder | an encoder and a decoder, trained to rebuild pictures, without a prior | 1 |
# | backward pass | the computation of all gradients, from the loss back to the first layer | 2 |
# | bandwidth | how many bytes a machine can move in a second between memory and processor | 12 |
# | baseline | a number subtracted to make an estimate vary less, without changing its average | 6 |
# | batch | the pictures of one training step | 1 |
# | Bernoulli | the distribution of a number that is 0 or 1 | 3 |
# | bias | how far an estimate is off on average | 8 |
# | bits per pixel | $-\log p(x)$, in bits and divided by the number of pixels | 8 |
# | cache | the processor's own small memory, which is faster than the large one | 12 |
# | central difference | the slope between a point a little above and one a little below | 2 |
# | channel | one of the numbers that each pixel has | 11 |
# | checkerboard | a pattern that windows paint where they overlap unevenly | 11 |
# | Cholesky | the factor $L$ of a covariance matrix, with $LL^T = C$ | 1 |
# | code | the few numbers that the encoder turns a picture into | 1 |
# | compensated sum | a sum that keeps what each addition loses, and adds it at the end | 12 |
# | complex step | a derivative by a small imaginary step, exact to the last digits | 2 |
# | conditional VAE | a VAE whose encoder and decoder are given the label | 11 |
# | convolution | a layer that applies the same weights at each place of a sliding window | 11 |
# | correlation | a covariance divided by both standard deviations | 4 |
# | covariance | the average product of two numbers' distances from their means | 1 |
# | decoder | the network that turns a code into a picture | 0 |
# | density | how thickly a random number is spread; its area is the probability | 3 |
# | distortion | the mean NLL, the part of the loss that the code is to make small | 10 |
# | effective number | of weighted draws: how many of them count | 3 |
# | eigenvalue | of a covariance: the variance along one of its axes | 9 |
# | eigenvector | of a covariance: a direction of length 1 along one of its axes | 9 |
# | encoder | the network that turns a picture into a code | 0 |
# | epoch | one round through all training pictures | 0 |
# | free bits | a KL that counts no less than a minimum in each dimension | 10 |
# | fused kernel | one loop that does what would take several passes over the arrays | 12 |
# | gap | how far the ELBO falls short of $\log p(x)$: the KL from $q$ to the posterior | 4 |
# | Gaussian | the normal distribution, the bell curve | 1 |
# | gradient | the derivatives of the loss with respect to each entry of an array | 1 |
# | hole | a place in the latent space where no picture was encoded | 1 |
# | importance sampling | an average over draws from another distribution, with weights to make up for it | 8 |
# | importance-weighted bound | the average logarithm of the mean of $K$ weights; it rises to $\log p(x)$ with $K$ | 8 |
# | intensity | operations per byte that is moved | 12 |
# | k-hat | an estimate of the shape of the weights' tail; from one half on their variance is infinite | 8 |
# | KL divergence | how much more likely a draw from $q$ is under $q$ than under $p$, on average, in logarithms | 4 |
# | label | what a picture shows, such as a digit's name; not used in training before lesson 11 | 0 |
# | latent space | the space of all codes | 0 |
# | latent variables | the decisions behind a picture, which are not seen: $z$ | 3 |
# | likelihood | $p(x\mid z)$: the picture's probability or density, given the code | 3 |
# | log-mean-exp | the logarithm of a mean of which only the logarithms of the terms are known | 8 |
# | log-sum-exp | the logarithm of a sum of which only the logarithms of the terms are known | 3 |
# | logit | what the network puts out for a probability: its sigmoid is the probability | 3 |
# | loss | the number that training makes small | 0 |
# | Monte Carlo | an average over random draws | 3 |
# | nat | the unit of logarithms to the base $e$, of the NLL and of the KL | 3 |
# | negative log-likelihood | NLL, $-\log p(x\mid z)$ | 1 |
# | one-hot | a label as a row of zeros with one 1, at its place | 11 |
# | padding | rows and columns of zeros around a picture | 11 |
# | peak | how many operations a machine can do in a second | 12 |
# | posterior | $p(z\mid x)$: the codes that explain a picture | 3 |
# | posterior collapse | $q$ is the same for all pictures, the KL 0, and the code is not used | 10 |
# | principal angle | of two subspaces: the smallest angle between vectors in them, then the next at right angles | 9 |
# | principal axes | the directions in which pictures vary most, the next most, and so on, at right angles | 9 |
# | prior | $p(z)$: the codes before a picture is seen | 3 |
# | probabilistic PCA | a linear decoder with Gaussian noise, the same in every pixel | 9 |
# | quadrature | an integral as a sum over a grid | 3 |
# | race | two threads use the same number, one of them writes it, and chance decides who comes first | 12 |
# | rate | the mean KL: how many nats the code says about a picture | 10 |
# | register | a place inside the processor; what stands there is at hand without any wait | 12 |
# | reparameterization trick | $z = \mu + \sigma\varepsilon$, so that a gradient passes the draw | 6 |
# | residual | the picture minus what the decoder makes of its code | 9 |
# | roofline | the largest speed that peak and bandwidth allow, over the intensity | 12 |
# | round-off | an error, since a computer keeps 16 digits | 2 |
# | score | the derivative of $\log q$ with respect to a parameter of $q$ | 6 |
# | squared error | the sum of the squared differences of the pixels | 1 |
# | stride | how many pixels a window moves at a time | 11 |
# | style | what pictures of all classes have in common, such as slant | 11 |
# | thread | a row of instructions that the system can run at the same time as another | 12 |
# | tile | a block of a product whose sums stay in registers | 12 |
# | trace | the sum of a matrix's diagonal | 4 |
# | transposed convolution | a layer whose pixels paint windows; its matrix is a convolution's, transposed | 11 |
# | truncation error | an error, since a series is cut off | 2 |
# | unbiased | of an estimate: its average is what is to be estimated | 3 |
# | upstream gradient | the gradient that comes from the layers that follow | 2 |
# | VAE | variational autoencoder: an autoencoder whose codes are drawn from $q$ and held near a prior | 0 |
# | warm-up | a β that grows from 0 in the first epochs | 10 |
# | weight | in importance sampling, $p(x\mid z)\,p(z)/q(z)$: how much a draw counts | 8 |
# | wrapper | functions around somebody's VAE that take and return what `examine` expects | 13 |
