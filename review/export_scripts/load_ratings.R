# Load the files of an SQPsych export and calculate its agreement table anew. Base R only.
#
#   Rscript load_ratings.R [FOLDER]
#
# FOLDER holds the unpacked CSV files; without it, the working folder is taken. In a session:
#   source("load_ratings.R"); tables <- load_ratings("folder"); head(tables$ratings_long)
# Intervals come from resampling and stand in agreement.csv; estimates are calculated here.

numbers <- c("value_number", "estimate", "low", "high", "units")
times <- c("answered_at", "opened_at", "submitted_at", "created_at", "updated_at", "decided_at")
statistics <- c("percent", "alpha_nominal", "alpha_ordinal", "alpha_interval", "ac1",
                "ac2_quadratic", "fleiss", "icc_1_1")

# Every CSV file as a data frame: codes and texts as character, times as POSIXct, empty as NA.
load_ratings <- function(folder = ".") {
  paths <- list.files(folder, pattern = "[.]csv$", full.names = TRUE)
  tables <- lapply(paths, function(path) {
    table <- read.csv(path, encoding = "UTF-8", colClasses = "character", na.strings = "",
                      check.names = FALSE)
    names(table)[1] <- "data"  # without the byte order mark, in any locale
    for (name in intersect(names(table), numbers)) table[[name]] <- as.numeric(table[[name]])
    for (name in intersect(names(table), times)) {
      table[[name]] <- as.POSIXct(table[[name]], format = "%Y-%m-%dT%H:%M:%OSZ", tz = "UTC")
    }
    table
  })
  names(tables) <- sub("[.]csv$", "", basename(paths))
  tables
}

# Dialogues x categories: how many raters gave each; dialogues that nobody rated are left out.
counts <- function(values, scale) {
  table <- vapply(scale, function(one) rowSums(values == one, na.rm = TRUE), numeric(nrow(values)))
  table <- matrix(table, nrow = nrow(values))
  table[rowSums(table) > 0, , drop = FALSE]
}

paired <- function(table) table[rowSums(table) >= 2, , drop = FALSE]

# Share of agreeing pairs of raters, averaged over dialogues with two ratings or more.
percent_agreement <- function(table) {
  table <- paired(table)
  raters <- rowSums(table)
  mean(rowSums(table * (table - 1)) / (raters * (raters - 1)))
}

# Krippendorff's alpha (2011).
alpha <- function(table, scale, level) {
  table <- paired(table)
  weights <- 1 / (rowSums(table) - 1)
  coincidences <- t(table * weights) %*% table - diag(colSums(table * weights), ncol(table))
  given <- rowSums(coincidences)
  apart <- switch(level,
    nominal = 1 - diag(length(given)),
    interval = outer(scale, scale, "-")^2,
    ordinal = { place <- cumsum(given) - given / 2; outer(place, place, "-")^2 })
  expected <- sum(outer(given, given) * apart)
  if (expected <= 0) return(NA_real_)
  1 - (sum(given) - 1) * sum(coincidences * apart) / expected
}

# (observed - chance) / (1 - chance); Gwet (2014) for missing ratings.
chance_corrected <- function(table, weights, chance) {
  expected <- chance(colMeans(table / rowSums(table)))
  table <- paired(table)
  raters <- rowSums(table)
  observed <- mean(rowSums(table * (table %*% weights - 1)) / (raters * (raters - 1)))
  if (expected >= 1) NA_real_ else (observed - expected) / (1 - expected)
}

# Gwet's AC1, or AC2 with quadratic weights.
gwet <- function(table, scale, weighted) {
  count <- length(scale)
  weights <- diag(count)
  if (weighted) weights <- 1 - (outer(scale, scale, "-") / (scale[count] - scale[1]))^2
  factor <- sum(weights) / (count * (count - 1))
  chance_corrected(table, weights, function(p) factor * sum(p * (1 - p)))
}

# ICC(1,1) of Shrout and Fleiss (1979), with unequal numbers of raters.
icc <- function(values) {
  values <- values[rowSums(!is.na(values)) >= 2, , drop = FALSE]
  units <- nrow(values)
  if (units < 2) return(NA_real_)
  number <- rowSums(!is.na(values))
  total <- rowSums(values, na.rm = TRUE)
  between <- sum(total^2 / number)
  within <- (sum(values^2, na.rm = TRUE) - between) / (sum(number) - units)
  middle <- (between - sum(total)^2 / sum(number)) / (units - 1)
  each <- (sum(number) - sum(number^2) / sum(number)) / (units - 1)
  below <- middle + (each - 1) * within
  if (below <= 1e-12) NA_real_ else (middle - within) / below
}

# Dialogues x raters of a vector of numbers.
grid <- function(rows, number) {
  dialogues <- unique(rows$dialogue)
  raters <- unique(rows$rater)
  values <- matrix(NA_real_, length(dialogues), length(raters))
  values[cbind(match(rows$dialogue, dialogues), match(rows$rater, raters))] <- number
  values
}

one_statistic <- function(name, values, scale) {
  if (name == "icc_1_1") return(icc(values))
  if (!length(scale)) scale <- sort(unique(values[!is.na(values)]))
  if (!length(scale)) return(NA_real_)
  table <- counts(values, scale)
  if (!any(rowSums(table) >= 2)) return(NA_real_)
  switch(name,
    percent = percent_agreement(table),
    alpha_nominal = alpha(table, scale, "nominal"),
    alpha_ordinal = alpha(table, scale, "ordinal"),
    alpha_interval = alpha(table, scale, "interval"),
    fleiss = chance_corrected(table, diag(length(scale)), function(p) sum(p^2)),
    ac1 = gwet(table, scale, FALSE),
    ac2_quadratic = gwet(table, scale, TRUE))
}

# The numbers behind one row of agreement.csv: dialogues x raters, and the whole scale.
measured <- function(tables, row) {
  here <- tables$ratings_long
  here <- here[here$study_id == row$study_id & here$assignment_state == "submitted" &
                 here$kind == "live", ]
  own <- here[here$instrument == row$instrument, ]
  stored <- if (is.na(row$categories)) character() else strsplit(row$categories, "|", fixed = TRUE)[[1]]
  if (row$measure == "item") {
    rows <- own[own$item == row$key, ]
    if (row$level == "ordinal") return(list(grid(rows, rows$value_number), as.numeric(stored)))
    return(list(grid(rows, match(rows$value, stored) - 1), seq_along(stored) - 1))
  }
  if (row$measure == "section") {
    rows <- own[own$item %in% stored, ]
    who <- paste(rows$dialogue, rows$rater)
    total <- tapply(rows$value_number, who, sum)  # NA where an item has no number
    first <- rows[!duplicated(who), ]
    return(list(grid(first, as.numeric(total[paste(first$dialogue, first$rater)])), numeric()))
  }
  flags <- tables$flags
  flags <- flags[flags$study_id == row$study_id & flags$kind == "live", ]
  if (row$key != "any_flag") flags <- flags[flags$category == row$key, ]
  works <- here[!duplicated(paste(here$dialogue, here$rater)), ]
  raised <- paste(works$dialogue, works$rater) %in% paste(flags$dialogue, flags$rater)
  list(grid(works, as.numeric(raised)), c(0, 1))
}

# agreement.csv with a column "again": the same estimate, calculated from the ratings.
agreement <- function(tables) {
  told <- tables$agreement[tables$agreement$statistic %in% statistics, ]
  told$again <- vapply(seq_len(nrow(told)), function(n) {
    found <- measured(tables, told[n, ])
    one_statistic(told$statistic[n], found[[1]], found[[2]])
  }, numeric(1))
  told
}

if (!interactive() && sys.nframe() == 0L) {
  given <- commandArgs(trailingOnly = TRUE)
  table <- agreement(load_ratings(if (length(given)) given[1] else "."))
  say <- function(x) ifelse(is.na(x), "", sprintf("%.6f", x))
  cat(paste(table$study_id, table$instrument, table$key, table$statistic, say(table$estimate),
            say(table$again), sep = "\t"), sep = "\n")
  apart <- max(c(0, abs(table$estimate - table$again)), na.rm = TRUE)
  same <- all(is.na(table$estimate) == is.na(table$again)) && apart <= 1e-6
  cat(if (same) "all figures reproduced\n" else sprintf("figures differ by up to %g\n", apart))
  if (!same) quit(status = 1)
}
